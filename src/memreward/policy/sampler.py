"""What collecting asks of whatever samples: chats in, groups of completions out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from memreward.policy.settings import SamplingConfig


@dataclass(frozen=True, slots=True)
class Chat:
    """One group to sample, named and seeded by its id, as a conversation that the model continues.

    Chats of one template begin alike. Messages have "role" ("system", "user", "assistant") and "content".
    """

    id: str
    template: str
    messages: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled completion, without special tokens; what the sampler does not know is empty or None."""

    text: str
    tokens: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] | None = None
    truncated: bool | None = None


@dataclass(frozen=True, slots=True)
class SampledGroup:
    """The G samples of one prompt, by its id."""

    id: str
    samples: tuple[Sample, ...]


class AnyPrompt(Protocol):
    """A chat in the form that one sampler takes."""

    @property
    def id(self) -> str:
        """The chat's id."""
        ...

    @property
    def digest(self) -> str:
        """Changes with all that the model is shown."""
        ...


PromptT = TypeVar("PromptT", bound=AnyPrompt)


class Sampler(Protocol[PromptT]):
    """Samples groups of rollouts, wherever the model runs.

    Attributes:
        config: What to sample; may be replaced between two calls of `sample`.
    """

    config: SamplingConfig

    def prompts(self, chats: Sequence[Chat]) -> Sequence[PromptT]:
        """Put chats into the form that `sample` takes, in their order."""
        ...

    def sample(self, prompts: Sequence[PromptT]) -> Generator[SampledGroup, None, None]:
        """Yield each group once it is whole, in the order of finishing. Closing the generator ends the sampling."""
        ...
