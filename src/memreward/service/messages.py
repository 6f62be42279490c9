"""What is asked of the group store, in plain values and as JSON on the wire; and how asking can go wrong."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from memreward.types import DOMAINS, Domain, MemRewardError, MissingExtraError, Query, content_hash

try:
    from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema
except ImportError as error:
    raise MissingExtraError(error.name or "pydantic", "serve", "the service") from error

_LONGEST_NAME = 1_000


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _name(value: Any) -> str:
    if not 0 < len(_text(value)) <= _LONGEST_NAME:
        raise ValueError(f"must have 1 to {_LONGEST_NAME} characters")
    return str(value)


Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
"""As JSON has it, lone surrogates too, since models sample what they like; pydantic's own `str` refuses them."""
Name = Annotated[
    str,
    PlainValidator(_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME, "examples": ["step-12/q1"]}),
]

OneOfDomains = Annotated[Domain, Field(json_schema_extra={"enum": DOMAINS})]
"""`Query` refuses any other; described, since who generates requests from the description would get no further."""


class ConflictError(MemRewardError):
    """A name stands for something else already: a rollout's for another text, a query's for another question."""


class BusyError(MemRewardError):
    """More waits than may wait: the same request can be sent again after `after` seconds."""

    def __init__(self, said: str, after: float = 1.0) -> None:
        super().__init__(said)
        self.after = after


class StoppingError(BusyError):
    """The service stops, or cannot go on by itself."""


@dataclass(frozen=True, slots=True)
class AskedRollout:
    """A completion that is to be rewarded.

    Attributes:
        id: Names it within its group. A request that is sent again gives the same one, and gets the same answer.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Name
    text: Annotated[Text, Field(examples=["2 + 3 = 5. The answer is 5."])]
    token_logprobs: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = None
    truncated: bool | None = None


@dataclass(frozen=True, slots=True)
class AskedGroup:
    """Rollouts of one query that were sampled together, all of them or those that came in time.

    Attributes:
        reference: Ground truth, which is sealed at once; None where there is none.
        partial: Whether some did not come.
    """

    id: str
    query: Query
    rollouts: tuple[AskedRollout, ...]
    step: int = 0
    reference: str | None = None
    partial: bool = False

    def names(self) -> list[str]:
        return [name_of(self.id, rollout.id) for rollout in self.rollouts]


def name_of(group_id: str, rollout_id: str) -> str:
    """Return what the answer on a rollout is kept under: two ids have one name only if both are equal."""
    return content_hash(f"{len(group_id)} {group_id} {rollout_id}")


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
