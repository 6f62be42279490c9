"""The policy as reader: how likely it found its own rollouts while it sampled them, without a second pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from memreward.features.featurizer import RolloutReader
from memreward.policy.readings import READER_NAMES, Reading, TokenSpans, fast_tokenizer, summarise
from memreward.types import FloatArray, Rollout, content_hash

_READINGS_KEPT = 100_000


class PolicyReader:
    """Reads the log-probabilities that rollouts bring along.

    Its columns are those of `memreward.policy.reader.Reader`.

    They are those of the policy that sampled a rollout, at temperature 1: a rollout of an earlier step keeps the
    reading of its step, in memory too. Rollouts that bring none, such as those of a file, are read by `other`: a
    `Reader` over the weights of the starting policy, told the chat that the policy is asked in, gives columns of the
    same meaning.

    Where the text is not put into as many tokens as were sampled (a model may spell a text in other tokens than its
    tokenizer), all tokens count as thinking.

    Args:
        tokenizer: The policy's, one that tells where its tokens stand.
        other: Reads what brings no log-probabilities; None leaves the values undefined.

    Raises:
        ConfigurationError: if the tokenizer tells no places.
    """

    def __init__(self, tokenizer: Any, other: RolloutReader | None = None) -> None:
        self.tokenizer = fast_tokenizer(tokenizer, str(getattr(tokenizer, "name_or_path", "the policy")))
        self.other = other
        self._known: dict[tuple[str, str], list[float]] = {}

    def read(self, rollouts: Sequence[Rollout]) -> Reading:
        """Return the readings of n rollouts."""
        values = np.full((len(rollouts), len(READER_NAMES)), np.nan, dtype=np.float32)
        bringing = [i for i, rollout in enumerate(rollouts) if rollout.token_logprobs]
        lacking = [i for i, rollout in enumerate(rollouts) if not rollout.token_logprobs]
        for i in bringing:
            values[i] = self._own(rollouts[i])
        if self.other is not None and lacking:
            values[lacking] = self.other.read([rollouts[i] for i in lacking]).values
        return Reading(values, np.ones(len(rollouts), np.float32))

    def _own(self, rollout: Rollout) -> list[float]:
        key = rollout.id, content_hash(rollout.text)
        if key not in self._known:
            self._known[key] = self._summary(rollout)
            if len(self._known) > _READINGS_KEPT:
                del self._known[next(iter(self._known))]
        return self._known[key]

    def _summary(self, rollout: Rollout) -> list[float]:
        logprobs: FloatArray = np.array(rollout.token_logprobs, dtype=np.float32)
        spans = TokenSpans.of(self.tokenizer, rollout)
        stopped = len(logprobs) == spans.n_tokens + 1 or rollout.truncated is False
        if stopped and len(logprobs) != spans.n_tokens:
            logprobs = logprobs[:-1]  # the stop token is no part of the text
        return summarise(logprobs, spans.answer if len(logprobs) == spans.n_tokens else None)
