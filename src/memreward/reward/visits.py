"""What earlier visits of a question say of its answers.

Their votes are those of a policy that has moved since: pooled at full weight they were measured to hurt (method.md,
section 7). So an answer's share is the geometric mean of its shares in the present group, in the visits before it, the
newer the more, and in the first visit, before the policy had learned from its own votes:

    ln s = (1 - 2 W) ln s_present + W ln s_earlier + W ln s_first,

where both shares of the past count the present group as one rollout more. What is handed on is ln s - ln s_present,
less its mean over the group's rollouts with an answer: it says nothing of "none of these". W was chosen on recorded
trainings without the seed that is measured; on later ones it gains .003 (benchmarks/results/replay.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memreward.domains.registry import answer_key
from memreward.types import Rollout

WEIGHT = 0.2
"""W; .1 to .4 measured alike."""
HALF_LIFE = 20.0
"""Steps after which an earlier visit counts half; 5 and 1,000 measured the same."""


@dataclass
class _Tally:
    """Votes of one question by answer: of all visits, faded to `step`, and of the first one.

    How many rollouts they are of is one factor of all answers' shares, and goes with the mean.
    """

    step: int
    first: dict[str, float]
    votes: dict[str, float] = field(default_factory=dict)

    def add(self, votes: Mapping[str, float], step: int) -> None:
        """Let what is there fade to `step`, and add a visit."""
        kept = 0.5 ** (max(step - self.step, 0) / HALF_LIFE)
        self.votes = {key: kept * count for key, count in self.votes.items()}
        for key, count in votes.items():
            self.votes[key] = self.votes.get(key, 0.0) + count
        self.step = max(step, self.step)


class EarlierVisits:
    """The votes of each question that was visited."""

    def __init__(self) -> None:
        self._of: dict[str, _Tally] = {}

    def unseen(self, rollouts: Sequence[Rollout]) -> list[str]:
        return [query for query in dict.fromkeys(r.query.id for r in rollouts) if query not in self._of]

    def lean(self, rollouts: Sequence[Rollout]) -> NDArray[np.float64]:
        """(n,) what earlier visits add to ln of each answer's share of the present group; 0 where there were none."""
        moved = np.zeros(len(rollouts))
        for query, rows in _by_query(rollouts).items():
            tally = self._of.get(query)
            if tally is None:
                continue
            keys = _keys([rollouts[row] for row in rows])
            votes = _votes(keys)
            for row, key in zip(rows, keys, strict=True):
                if key is not None:
                    present = votes[key] / len(rows)
                    past = (tally.votes.get(key, 0.0), tally.first.get(key, 0.0))
                    moved[row] = WEIGHT * sum(np.log(1 + votes_of / present) for votes_of in past)
            given = [row for row, key in zip(rows, keys, strict=True) if key is not None]
            if given:
                moved[given] -= moved[given].mean()
        return moved

    def add(self, rollouts: Sequence[Rollout], step: int) -> None:
        for query, rows in _by_query(rollouts).items():
            votes = _votes(_keys([rollouts[row] for row in rows]))
            if query not in self._of:
                self._of[query] = _Tally(step, votes)
            self._of[query].add(votes, step)

    def to_json(self) -> dict[str, Any]:
        return {query: [tally.step, tally.first, tally.votes] for query, tally in self._of.items()}

    @classmethod
    def of_json(cls, state: Mapping[str, Any]) -> Self:
        made = cls()
        made._of = {query: _Tally(*values) for query, values in state.items()}
        return made


def _keys(rollouts: Sequence[Rollout]) -> list[str | None]:
    """Name the answers to one query so that equivalent ones have one name at every visit; None without an answer."""
    query = rollouts[0].query
    written = {rollout.answer for rollout in rollouts if rollout.answer is not None}
    named = {answer: answer_key(answer, query.domain, query_text=query.text) for answer in written}
    return [None if rollout.answer is None else named[rollout.answer] for rollout in rollouts]


def _votes(keys: Sequence[str | None]) -> dict[str, float]:
    return {key: float(count) for key, count in Counter(keys).items() if key is not None}


def _by_query(rollouts: Sequence[Rollout]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, rollout in enumerate(rollouts):
        rows.setdefault(rollout.query.id, []).append(row)
    return rows
