"""The one path from rollouts to `Features`, for warmup, serving, training and evaluation alike."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from memreward.features.behaviour import Behaviour
from memreward.features.evidence import compute_evidence
from memreward.features.outline import outline_vectors, template_vectors
from memreward.features.own import own_signals
from memreward.types import DOMAINS, Encoder, Features, FloatArray, Rollout


class RolloutRunner(Protocol):
    """Anything that runs code rollouts; `memreward.features.behaviour.CodeRunner` is one."""

    def observe(self, rollouts: Sequence[Rollout]) -> Sequence[Behaviour | None]: ...


class Featurizer:
    """Turns rollouts into numbers: without an encoder no text vectors, without a runner no code is run.

    Signals that people added (`memreward.features.own`) stand after all others.
    """

    def __init__(self, encoder: Encoder | None = None, runner: RolloutRunner | None = None) -> None:
        self.encoder, self.runner = encoder, runner

    def features(self, rollouts: Sequence[Rollout]) -> Features:
        """Return features of n rollouts; those of one query form one pool, in whatever order, and heed no other query.

        Text vectors are of the query, the thinking and the answer; without an encoder they have no columns.
        """
        queries = {rollout.query.id: rollout.query for rollout in rollouts}
        thinking, answers, texts = self._encode(
            [r.thinking for r in rollouts], [r.answer or "" for r in rollouts], [q.text for q in queries.values()]
        )
        answers[[r.answer is None for r in rollouts]] = 0.0
        behaviours = None if self.runner is None else self.runner.observe(rollouts)
        evidence = compute_evidence(rollouts, behaviours)
        own = own_signals(rollouts, evidence.group)
        columns = [evidence.values, *(column[:, None] for column in own.values())]
        return Features(
            rollout_ids=tuple(r.id for r in rollouts),
            query_ids=tuple(queries),
            group=evidence.group,
            domain=np.array([DOMAINS.index(q.domain) for q in queries.values()], dtype=np.int64),
            query_vectors=texts,
            thinking_vectors=thinking,
            answer_vectors=answers,
            cluster=evidence.cluster,
            evidence=np.concatenate(columns, axis=1),
            evidence_names=(*evidence.names, *own),
            outline_vectors=outline_vectors(rollouts),
            template_vectors=template_vectors([q.text for q in queries.values()]),
        )

    def _encode(self, *parts: list[str]) -> list[FloatArray]:
        if self.encoder is None:
            return [np.zeros((len(part), 0), np.float32) for part in parts]
        together = [text for part in parts for text in part]
        distinct = list(dict.fromkeys(together))
        row = {text: i for i, text in enumerate(distinct)}
        vectors = self.encoder.encode(distinct)
        return [vectors[[row[text] for text in part]].reshape(len(part), self.encoder.dimension) for part in parts]
