"""What requests look like on the wire: JSON, described by OpenAPI with examples."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from memreward.service.asked import AskedGroup, AskedRollout, Name, OneOfDomains, Text
from memreward.types import DOMAINS, Query

_MOST = 4_096
"""Rollouts of a group, groups and labels of a request."""
Step = Annotated[int, Field(ge=0, le=2**53, description="Of training, before the rollouts were sampled.")]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueryMessage(_Message):
    """A question."""

    id: Name = Field(description="The same for the same question, always.")
    text: Text = Field(description="All of it; of multiple choice with its options.", examples=["What is 2 + 3?"])
    domain: OneOfDomains
    dataset: Text = ""
    reference: Text | None = Field(default=None, description="Ground truth: sealed, read only by the ledger.")

    def query(self) -> Query:
        return Query(self.id, self.text, self.domain, self.dataset)


class GroupMessage(_Message):
    """Rollouts of one question that were sampled together."""

    id: Name = Field(description="Its own; the same when the request is sent again.")
    query: QueryMessage
    rollouts: list[AskedRollout] = Field(min_length=1, max_length=_MOST)
    step: Step = 0
    partial: bool = Field(default=False, description="Whether rollouts of the group are missing.")

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len({rollout.id for rollout in self.rollouts}) < len(self.rollouts):
            raise ValueError("two rollouts of one group have one id")
        return self

    def group(self) -> AskedGroup:
        rollouts = tuple(self.rollouts)
        return AskedGroup(self.id, self.query.query(), rollouts, self.step, self.query.reference, self.partial)


class ScoreRequest(_Message):
    """Groups to reward."""

    groups: list[GroupMessage] = Field(min_length=1, max_length=_MOST)


class ScoreOneRequest(_Message):
    """One rollout of a group whose others are sent by themselves."""

    group: Name = Field(description="The group's id, the same in the requests of all its rollouts.")
    size: int = Field(ge=1, le=_MOST, description="Rollouts in the whole group.", examples=[8])
    query: QueryMessage
    rollout: AskedRollout
    step: Step = 0
    deadline: float | None = Field(
        default=None, gt=0, le=86_400, description="Seconds after the group's first rollout; at most the service's own."
    )

    def asked(self) -> AskedGroup:
        return AskedGroup(self.group, self.query.query(), (), self.step, self.query.reference)


class LabelMessage(_Message):
    """A verdict on a rollout in memory."""

    query: Name
    rollout: Name = Field(description="Its id in memory, as the reply to /score has it or /rollouts was given it.")
    correct: bool


class LabelsRequest(_Message):
    """Verdicts of a person or a program of yours."""

    labels: list[LabelMessage] = Field(min_length=1, max_length=_MOST)
    source: Name = Field(description="Who decided.")
    use: Name = Field(default="service", description="What for, as the ledger notes it.")

    def verdicts(self) -> dict[str, dict[str, bool]]:
        """Return them by query and rollout; of several on one rollout the last."""
        found: dict[str, dict[str, bool]] = {}
        for label in self.labels:
            found.setdefault(label.query, {})[label.rollout] = label.correct
        return found


_WORDS = {"type": "string", "pattern": r"\S"}
_ROLLOUT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_FIELDS = {"id": _WORDS, "query": _WORDS, "domain": {"enum": DOMAINS}, "rollouts": {"type": "array", "items": _ROLLOUT}}
_RECORD = {"type": "object", "properties": _FIELDS, "required": [*_FIELDS]}
_Record = Annotated[dict[str, Any], WithJsonSchema(_RECORD)]


class RolloutsRequest(_Message):
    """Groups as in a rollout file (README, Input)."""

    groups: list[_Record] = Field(
        min_length=1,
        max_length=_MOST,
        examples=[[{"id": "q1", "domain": "math", "query": "What is 2 + 3?", "rollouts": [{"text": "It is 5."}]}]],
    )


class OpenRLHFRequest(BaseModel):
    """One rollout, as OpenRLHF sends it."""

    query: list[Text] = Field(
        min_length=1, max_length=1, description="Prompt and completion.", examples=[["What is 2 + 3? It is 5."]]
    )
    prompts: list[Text] = Field(min_length=1, max_length=1, examples=[["What is 2 + 3?"]])
    labels: list[Any] | None = Field(default=None, max_length=1, description="Reference, JSON object or nothing.")
