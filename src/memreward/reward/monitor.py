"""Whether the policy learns to be right or learns what the predictor likes, and whether its votes know anything.

On labelled queries both are known: what was predicted, blind, and what is true. A policy that games the predictor moves
the first and not the second. So the quantity that is watched is the gap, mean predicted reward minus mean true reward
of a group, against what it was when training began. Beside it stands the cosine of the expected with the true
advantages, of the predictor and of majority vote alone: where that of the votes is not above 0, agreement says nothing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# When an alarm is raised. Honest trainings of tests/reward/test_monitor.py stay below half of these bounds.
GROUPS = 48
"""Newest labelled groups, at most, that a mean or a cosine is taken over; so many with right and wrong rollouts must
have been seen before the votes are said to know nothing."""
FIRST, FEWEST = 24, 16
"""Labelled groups from which the gap at the beginning is taken, and that must have been seen before it is judged."""
RISE, DEVIATIONS, STEPS = 0.15, 4.0, 2
"""An alarm is a rise of the gap, in reward and in standard errors, that both are exceeded on so many steps in a row."""


class Blind(NamedTuple):
    """Labelled rollouts of one step, and what was said of them before their labels were read.

    `predicted` (n,) probabilities, `expected` (n,) expected advantages, `voted` (n,) the same of majority vote,
    `correct` (n,) ground truth, `true` (n,) true advantages, `group` (n,).
    """

    predicted: ArrayLike
    expected: ArrayLike
    voted: ArrayLike
    correct: ArrayLike
    true: ArrayLike
    group: ArrayLike


@dataclass(frozen=True, slots=True)
class Observation:
    """Labelled groups of one step.

    Attributes:
        rise: Of the gap over that of the first groups, on the newest ones; None until there are enough.
        cosine: Of expected with true advantages over the newest groups; None where either are all 0.
        vote_cosine: The same of majority vote.
    """

    step: int
    groups: int
    predicted: float
    true: float
    rise: float | None
    cosine: float | None
    vote_cosine: float | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """What somebody should look at.

    Attributes:
        kind: "parted": predicted and true reward have; "vote": majority vote does not know what is right.
    """

    step: int
    kind: Literal["parted", "vote"]
    says: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.says}"


class RewardMonitor:
    """Watches labelled rollouts that were predicted blind.

    Attributes:
        alarms: Those raised so far, oldest first. One on the gap is raised once, and again only when the gap has come
            back in between; one on the votes once.
    """

    def __init__(self, on_alarm: Callable[[Alarm], None] | None = None) -> None:
        self.on_alarm = on_alarm
        self.history: list[Observation] = []
        self.alarms: list[Alarm] = []
        self._first: list[list[float]] = []
        self._newest: deque[list[float]] = deque(maxlen=GROUPS)
        self._products: deque[list[float]] = deque(maxlen=GROUPS)
        self._mixed: deque[float] = deque(maxlen=GROUPS)
        self._steps_apart = 0

    @property
    def distrusts(self) -> bool:
        """Whether predictions are not to be trusted now: the gap has risen, or votes do not know what is right."""
        return self._steps_apart > 0 or self._votes_know_nothing

    def observe(self, step: int, blind: Blind) -> None:
        """Take in the labelled rollouts of one step, and raise the alarms that they are a reason for."""
        predicted, expected, voted, correct, true = (np.asarray(values, np.float64) for values in blind[:5])
        if not len(predicted):
            return
        group = np.unique(np.asarray(blind.group), return_inverse=True)[1].reshape(-1)
        size = np.bincount(group)

        def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(group, values).astype(np.float64)

        for pair in np.stack([sums(predicted) / size, sums(correct) / size], axis=1).tolist():
            (self._first if len(self._first) < FIRST else self._newest).append(pair)
        products = [sums(expected * true), sums(voted * true), sums(expected**2), sums(voted**2), sums(true**2)]
        self._products.extend(np.stack(products, axis=1).tolist())
        self._mixed.extend(products[1][products[4] > 0].tolist())
        rise, (cosine, vote_cosine) = self._rise(), self._cosines()
        means = float(predicted.mean()), float(correct.mean())
        self.history.append(Observation(step, len(size), *means, rise and rise[0], cosine, vote_cosine))
        self._watch_votes(step, vote_cosine)
        if rise is not None:
            self._watch_gap(step, *rise)

    def to_json(self) -> dict[str, Any]:
        return {
            "history": [asdict(seen) for seen in self.history],
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "first": self._first,
            "newest": list(self._newest),
            "products": list(self._products),
            "mixed": list(self._mixed),
            "steps_apart": self._steps_apart,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.history = [Observation(**seen) for seen in state["history"]]
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
        self._first = [list(pair) for pair in state["first"]]
        self._newest = deque(state["newest"], maxlen=GROUPS)
        self._products = deque(state["products"], maxlen=GROUPS)
        self._mixed = deque(state["mixed"], maxlen=GROUPS)
        self._steps_apart = state["steps_apart"]

    def _rise(self) -> tuple[float, float] | None:
        """By how much the gap has risen, in reward and in standard errors."""
        if len(self._newest) < FEWEST:
            return None
        first, newest = (np.array(pairs) @ [1.0, -1.0] for pairs in (self._first, list(self._newest)))
        rise = float(newest.mean() - first.mean())
        error = float(np.sqrt(first.var(ddof=1) / len(first) + newest.var(ddof=1) / len(newest)))
        return rise, rise / max(error, 1e-9)

    def _cosines(self) -> tuple[float | None, float | None]:
        dot, dot_vote, own, vote, true = np.sum(self._products, axis=0).tolist()
        return tuple(  # type: ignore[return-value]
            product / float(np.sqrt(square * true)) if square > 0 and true > 0 else None
            for product, square in ((dot, own), (dot_vote, vote))
        )

    def _watch_gap(self, step: int, rise: float, deviations: float) -> None:
        apart = rise > RISE and deviations > DEVIATIONS
        self._steps_apart = self._steps_apart + 1 if apart else 0
        if self._steps_apart == STEPS:
            predicted, true = np.mean(list(self._newest), axis=0).tolist()
            self._raise(
                step,
                "parted",
                f"on labelled queries the predicted reward is {predicted:.2f} and the true one {true:.2f}; the gap has "
                f"risen by {rise:.2f} ({deviations:.1f} standard errors) since training began. The policy may be "
                "learning what the predictor likes: look at its rollouts, or go back to an earlier checkpoint",
            )

    @property
    def _votes_know_nothing(self) -> bool:
        return len(self._mixed) == GROUPS and sum(self._mixed) <= 0

    def _watch_votes(self, step: int, cosine: float | None) -> None:
        if self._votes_know_nothing and not any(alarm.kind == "vote" for alarm in self.alarms):
            self._raise(
                step,
                "vote",
                f"majority vote does not know what is right: on the newest {GROUPS} labelled groups with "
                f"right and wrong rollouts the cosine of its advantages with the true ones is {cosine or 0.0:.2f}. "
                "Only labels can tell here: label more questions, or train on the labelled ones alone",
            )

    def _raise(self, step: int, kind: Literal["parted", "vote"], says: str) -> None:
        alarm = Alarm(step, kind, says)
        self.alarms.append(alarm)
        if self.on_alarm is not None:
            self.on_alarm(alarm)
