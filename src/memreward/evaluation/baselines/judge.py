"""A judge's verdicts as they stand: a column that a language model (or anybody) filled beforehand.

LLM-as-a-judge: Zheng et al. 2023, arXiv 2306.05685. The verdicts are a key of the rollouts in the file: true, false, or
a number in [0, 1]; null abstains. Naming a key that holds the truth measures the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from memreward.evaluation.baselines.crossfit import Floats, Unlearned
from memreward.types import DataError, Features, Group, content_hash


@dataclass(frozen=True)
class JudgeColumn:
    """Makes predictors of the verdicts under a key of the rollouts; one without a verdict abstains."""

    key: str
    verdicts: Mapping[str, float] = field(default_factory=dict, repr=False)

    def __call__(self, seed: int) -> Unlearned:  # noqa: ARG002  nothing is drawn
        return Unlearned("judge", self._said, "the judge said nothing")

    def reading(self, groups: Sequence[Group]) -> JudgeColumn:
        """Return the same with a file's verdicts; DataError without any, or where one is no number in [0, 1]."""
        found = {
            rollout.id: said[self.key]
            for group in groups
            for rollout, said in zip(group.rollouts, group.rollout_provenance, strict=False)
            if said.get(self.key) is not None
        }
        if not found:
            raise DataError(f"no rollout has the key {self.key!r}: name the one that holds the judge's verdicts")
        for rollout, verdict in found.items():
            if not isinstance(verdict, int | float) or not 0 <= verdict <= 1:
                raise DataError(
                    f"rollout {rollout!r}: {self.key} is {verdict!r}; give true, false or a number in [0, 1]"
                )
        return JudgeColumn(self.key, {rollout: float(verdict) for rollout, verdict in found.items()})

    def describe(self) -> str:
        return f"JudgeColumn({self.key}, {content_hash(repr(sorted(self.verdicts.items())))[:16]})"

    def _said(self, features: Features) -> Floats:
        return np.array([self.verdicts.get(rollout, np.nan) for rollout in features.rollout_ids], np.float64)
