"""What labelled queries say about the predictor while it is used: rollouts predicted blind, then judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memreward.predict.calibration import Calibration, fit_calibration, logit
from memreward.types import LabelError

Floats = NDArray[np.float64]

BEFORE_TRAINING = -1
"""Step of rollouts that were there before training."""


@dataclass(frozen=True, slots=True)
class BlindRow:
    """A labelled rollout and what was predicted of it by models blind to its query's labels.

    Attributes:
        step: When it was sampled, or `BEFORE_TRAINING`.
        query_id: Its query.
        domain: Its query's.
        value: Predicted probability, before live calibration.
        held_right: Whether the prediction reached the threshold that was in force, live calibration included.
        correct: The ground truth.
    """

    step: int
    query_id: str
    domain: str
    value: float
    held_right: bool
    correct: bool


@dataclass(frozen=True, slots=True)
class Rates:
    """How often predictions hold rollouts to be right.

    Attributes:
        tpr: Share of right rollouts that are held to be right; NaN without any.
        fpr: Share of wrong rollouts that are; NaN without any.
        rollouts: How many were counted.
    """

    tpr: float
    fpr: float
    rollouts: int

    @property
    def j(self) -> float:
        """Youden's J = TPR - FPR: 0 knows nothing, 1 all; NaN where one of the two is."""
        return self.tpr - self.fpr


def rates(held_right: ArrayLike, correct: ArrayLike) -> Rates:
    """Count (n,) predicted verdicts against (n,) true ones."""
    held, right = np.asarray(held_right, bool), np.asarray(correct, bool)

    def share(among: NDArray[np.bool_]) -> float:
        return float(held[among].mean()) if among.any() else float("nan")

    return Rates(share(right), share(~right), len(held))


class LabelledWindow:
    """The newest labelled rollouts; older ones are retired from calibration, threshold, lambda and rates.

    Args:
        size: Rollouts kept.
    """

    def __init__(self, size: int) -> None:
        self._rows: deque[BlindRow] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._rows)

    def extend(self, rows: Iterable[BlindRow]) -> None:
        """Add rows, newest last."""
        self._rows.extend(rows)

    def restart(self, rows: Iterable[BlindRow]) -> None:
        """Begin again with these rows: another model predicts from here on."""
        self._rows.clear()
        self._rows.extend(rows)

    @property
    def rows(self) -> tuple[BlindRow, ...]:
        """The n rows, newest last."""
        return tuple(self._rows)

    @property
    def values(self) -> Floats:
        """(n,) predicted probabilities before live calibration."""
        return np.array([row.value for row in self._rows], np.float64)

    @property
    def correct(self) -> NDArray[np.int8]:
        """(n,) 1 right, 0 wrong."""
        return np.array([row.correct for row in self._rows], np.int8)

    @property
    def groups(self) -> NDArray[np.int64]:
        """(n,) index of each rollout's group: its query at its step."""
        index: dict[tuple[str, int], int] = {}
        return np.array([index.setdefault((r.query_id, r.step), len(index)) for r in self._rows], np.int64)

    def calibration(self, fewest_queries: int) -> Calibration | None:
        """Fit Platt's sigmoid on the log-odds of the predicted values, and the threshold of best accuracy.

        Returns:
            None for fewer labelled queries than `fewest_queries`, or one class only: then the predictor's own stands.
        """
        queries = [row.query_id for row in self._rows]
        if len(set(queries)) < fewest_queries:
            return None
        try:
            return fit_calibration(logit(self.values), self.correct, np.unique(queries, return_inverse=True)[1])
        except LabelError:
            return None

    def live_rates(self, newest: int) -> dict[str, Rates]:
        """Return rates of the newest rollouts sampled in training, by domain and under "all"."""
        live = [row for row in self._rows if row.step != BEFORE_TRAINING][-newest:]
        by_domain: dict[str, list[BlindRow]] = {"all": live}
        for row in live:
            by_domain.setdefault(row.domain, []).append(row)
        return {
            domain: rates([r.held_right for r in rows], [r.correct for r in rows]) for domain, rows in by_domain.items()
        }

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values."""
        return [asdict(row) for row in self._rows]

    def restore(self, rows: list[dict[str, Any]]) -> None:
        """Undo `to_json`."""
        self.restart(BlindRow(**row) for row in rows)
