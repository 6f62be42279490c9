"""What requests and replies look like on the wire: JSON, described by OpenAPI with examples.

Strings are taken as JSON has them, lone surrogates too, since models sample what they like.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from memreward.service.asked import AskedGroup, AskedRollout
from memreward.types import Domain, Query

_LONGEST_NAME = 1_000
_MOST_ROLLOUTS = 4_096
_MOST_GROUPS = 4_096
_LATEST_STEP = 2**53


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _name(value: Any) -> str:
    if not 0 < len(_text(value)) <= _LONGEST_NAME:
        raise ValueError(f"must have 1 to {_LONGEST_NAME} characters")
    return str(value)


Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Name = Annotated[
    str,
    PlainValidator(_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME}),
]
Step = Annotated[int, Field(ge=0, le=_LATEST_STEP, description="Of training, before the rollouts were sampled.")]

_QUERY = {"id": "q1", "text": "What is 2 + 3?", "domain": "math"}


def _example(*values: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": list(values)})


class QueryMessage(BaseModel):
    """A question."""

    model_config = _example(_QUERY)
    id: Name = Field(description="The same for the same question, always.")
    text: Text = Field(description="All of it; of multiple choice with its options.")
    domain: Domain
    dataset: Text = ""
    reference: Text | None = Field(default=None, description="Ground truth: sealed, read only by the ledger.")

    def query(self) -> Query:
        return Query(self.id, self.text, self.domain, self.dataset)


class RolloutMessage(BaseModel):
    """A completion."""

    model_config = _example({"id": "a", "text": "2 + 3 = 5. The answer is 5."})
    id: Name = Field(description="Its own within the group; the same when the request is sent again.")
    text: Text
    token_logprobs: list[Annotated[float, Field(allow_inf_nan=False)]] | None = None
    truncated: bool | None = None

    def rollout(self) -> AskedRollout:
        logprobs = None if self.token_logprobs is None else tuple(self.token_logprobs)
        return AskedRollout(self.id, self.text, logprobs, self.truncated)


class GroupMessage(BaseModel):
    """Rollouts of one question that were sampled together."""

    model_config = _example(
        {
            "id": "step-12/q1",
            "query": _QUERY,
            "step": 12,
            "rollouts": [{"id": "a", "text": "The answer is 5."}, {"id": "b", "text": "The answer is 6."}],
        }
    )
    id: Name = Field(description="Its own; the same when the request is sent again.")
    query: QueryMessage
    rollouts: list[RolloutMessage] = Field(min_length=1, max_length=_MOST_ROLLOUTS)
    step: Step = 0
    partial: bool = Field(default=False, description="Whether rollouts of the group are missing.")

    def group(self) -> AskedGroup:
        rollouts = tuple(rollout.rollout() for rollout in self.rollouts)
        if len({rollout.id for rollout in rollouts}) < len(rollouts):
            raise ValueError("two rollouts of one group have one id")
        return AskedGroup(self.id, self.query.query(), rollouts, self.step, self.query.reference, self.partial)


class ScoreRequest(BaseModel):
    """Groups to reward."""

    model_config = ConfigDict(extra="forbid")
    groups: list[GroupMessage] = Field(min_length=1, max_length=_MOST_GROUPS)


class ScoreOneRequest(BaseModel):
    """One rollout of a group whose others are sent by themselves."""

    model_config = _example(
        {
            "group": "step-12/q1",
            "size": 8,
            "query": _QUERY,
            "rollout": {"id": "a", "text": "The answer is 5."},
            "step": 12,
        }
    )
    group: Name = Field(description="The group's id, the same in the requests of all its rollouts.")
    size: int = Field(ge=1, le=_MOST_ROLLOUTS, description="Rollouts in the whole group.")
    query: QueryMessage
    rollout: RolloutMessage
    step: Step = 0
    deadline: float | None = Field(
        default=None, gt=0, le=86_400, description="Seconds after the group's first rollout; at most the service's own."
    )

    def asked(self) -> AskedGroup:
        return AskedGroup(self.group, self.query.query(), (), self.step, self.query.reference)


class RewardReply(BaseModel):
    """The reward of one rollout."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rollout": "q1@12/0f3a-91bc",
                    "reward": 0.71,
                    "source": "predicted",
                    "probability": 0.83,
                    "correct": None,
                    "reason": "",
                    "failed": False,
                    "partial": False,
                }
            ]
        }
    )
    rollout: str = Field(description="Its id in memory, for /labels.")
    reward: float = Field(description="An expected advantage: the trainer is to centre it and nothing else.")
    source: str = Field(description='"truth", "predicted" or "abstained", whose reward is 0.')
    probability: float | None = Field(description="That it is right, predicted blind to any label.")
    correct: bool | None = Field(description="Ground truth, where the ledger has it.")
    reason: str = Field(description="Why it abstains.")
    failed: bool
    partial: bool = Field(description="Whether the group was answered without all of its rollouts.")


class LabelMessage(BaseModel):
    """A verdict on a rollout in memory."""

    model_config = ConfigDict(extra="forbid")
    query: Name
    rollout: Name = Field(description="Its id in memory, as the reply to /score has it or /rollouts was given it.")
    correct: bool


class LabelsRequest(BaseModel):
    """Verdicts of a person or a program of yours."""

    model_config = _example(
        {"source": "Ada", "labels": [{"query": "q1", "rollout": "q1@12/0f3a-91bc", "correct": True}]}
    )
    labels: list[LabelMessage] = Field(min_length=1, max_length=_MOST_ROLLOUTS)
    source: Name = Field(description="Who decided.")
    use: Name = Field(default="service", description="What for, as the ledger notes it.")

    def verdicts(self) -> dict[str, dict[str, bool]]:
        """Return them by query and rollout; of several on one rollout the last."""
        found: dict[str, dict[str, bool]] = {}
        for label in self.labels:
            found.setdefault(label.query, {})[label.rollout] = label.correct
        return found


class RolloutsRequest(BaseModel):
    """Groups as in a rollout file (README, Input)."""

    model_config = _example(
        {"groups": [{"id": "q1", "domain": "math", "query": "What is 2 + 3?", "rollouts": [{"text": "It is 5."}]}]}
    )
    groups: list[dict[str, Any]] = Field(min_length=1, max_length=_MOST_GROUPS)


class OpenRLHFRequest(BaseModel):
    """One rollout, as OpenRLHF sends it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"query": ["What is 2 + 3? It is 5."], "prompts": ["What is 2 + 3?"], "labels": ["5"]}]
        }
    )
    query: list[Text] = Field(min_length=1, max_length=1, description="Prompt and completion.")
    prompts: list[Text] = Field(min_length=1, max_length=1)
    labels: list[Any] | None = Field(default=None, max_length=1, description="Reference, JSON object or nothing.")
