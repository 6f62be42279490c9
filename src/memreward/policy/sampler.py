"""What collecting asks of whatever samples: chats in, groups of completions out."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from memreward.policy.settings import SamplingConfig
from memreward.types import content_hash


@dataclass(frozen=True, slots=True)
class Chat:
    """One group to sample, named and seeded by its id, as messages with "role" and "content"; of one template alike."""

    id: str
    template: str
    messages: Sequence[Mapping[str, str]]

    @property
    def digest(self) -> str:
        return content_hash(json.dumps({"messages": self.messages}, sort_keys=True))


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


class Sampler(Protocol):
    """Samples groups of rollouts; its `config` may be replaced. A prompt has an `id`, and a `digest` of it."""

    config: SamplingConfig

    def prompts(self, chats: Sequence[Chat]) -> Sequence[Any]:
        """Put chats into the form that `sample` takes, in their order."""
        ...

    def sample(self, prompts: Sequence[Any]) -> Generator[SampledGroup, None, None]:
        """Yield each group once it is whole, in the order of finishing. Closing the generator ends the sampling."""
        ...
