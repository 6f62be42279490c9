"""What is asked of the group store and what it answers, in plain values; and how asking can go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

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
