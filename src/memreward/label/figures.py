"""What labelling bought so far, and whether to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memreward.answers.advantage import expected_advantages
from memreward.answers.beliefs import AnswerBeliefs
from memreward.memory.labelling import Event

Floats = NDArray[np.float64]

SURE = 0.9
"""Probability from which on a group counts as decided."""
STOP = 0.01
"""Share of the advantages that the next ten labels must be expected to change, or it is time to stop."""
JUDGE = "judge:"
"""Begins the name of an annotator that is a language model."""
_LONGEST_SECONDS = 120.0
_TINY = 1e-12


@dataclass(frozen=True)
class Foretold:
    """How well the judged answers were predicted, each before its judgement was used.

    `model` and `majority` (vote) are, after each judgement, the shares of the judged rollouts that were called as
    judged; the cosines, after the last one, are of the advantages expected with those that were found.
    """

    model: tuple[float, ...] = ()
    majority: tuple[float, ...] = ()
    model_cosine: float = 0.0
    majority_cosine: float = 0.0


@dataclass(frozen=True)
class LabelProgress:
    """What an annotator sees beside the question.

    Attributes:
        limit: Most that may have one; None does not limit.
        judgements: Decisions of this memory's annotators that stand.
        minutes: Time that decisions took; one beyond two minutes counts as two.
        decided: Of those, the ones that are decided with confidence.
        next_ten: Share of the advantages that the next ten labels are expected to change.
        kappa: Cohen's kappa over the answers that both judged; NaN where nothing can be said.
        disputed: Ids of questions on which they disagree and which nobody settled.
        people_and_judges: Answers that a person and a judge model both judged, and on how many they agree.
    """

    questions: int
    limit: int | None
    judgements: int
    skipped: int
    broken: int
    minutes: float
    foretold: Foretold
    waiting: int
    decided: int
    next_ten: float
    twice: int
    kappa: float
    disputed: tuple[str, ...] = ()
    people_and_judges: tuple[int, int] = (0, 0)

    @property
    def per_minute(self) -> float:
        return self.judgements / self.minutes if self.minutes else 0.0

    @property
    def enough(self) -> bool:
        """Whether the next ten labels are expected to change less than one advantage in a hundred."""
        return self.judgements > 0 and self.next_ten < STOP


def active_minutes(events: Sequence[Event]) -> float:
    return sum(min(float(e.data.get("seconds", 0.0)), _LONGEST_SECONDS) for e in events) / 60


def foretold(events: Sequence[Event]) -> Foretold:
    """Compare what was predicted with what was decided, after each decision; of second opinions nothing is counted."""
    said: dict[str, dict[str, bool]] = {}
    of_question: dict[str, Floats] = {}
    totals = []
    for event in events:
        if event.data.get("second") or not event.data.get("predicted"):
            continue
        verdicts = said.setdefault(event.query_id, {})
        verdicts.update(event.data["verdicts"])
        of_question[event.query_id] = _compared(event, verdicts)
        totals.append(np.sum(list(of_question.values()), axis=0))
    if not totals:
        return Foretold()
    model, majority = (tuple(float(total[place] / total[0]) for total in totals) for place in (1, 2))
    return Foretold(model, majority, _cosine(*totals[-1][3:6]), _cosine(*totals[-1][6:9]))


def _compared(event: Event, verdicts: Mapping[str, bool]) -> Floats:
    """(9,) judged rollouts; those that model and vote called so; products of advantages, if all are judged."""
    predicted = [row for row in event.data["predicted"] if row["rollout"] in verdicts]
    votes = np.array([row["votes"] for row in predicted], np.float64)
    truth = np.array([verdicts[row["rollout"]] for row in predicted], np.float64)
    values = [np.array([row[name] for row in predicted]) for name in ("model", "vote")]
    hits = [float(votes @ ((value >= 0.5) == (truth > 0))) for value in values]
    products = [np.zeros(3), np.zeros(3)]
    if len(predicted) == len(event.data["predicted"]):
        several = bool(event.data.get("several"))
        products = [_products(votes, value, truth, several=several) for value in values]
    return np.concatenate([[votes.sum(), *hits], *products])


def _cosine(product: float, one: float, two: float) -> float:
    return float(product / np.sqrt(one * two)) if one * two > _TINY else 0.0


def _products(votes: Floats, value: Floats, truth: Floats, *, several: bool) -> Floats:
    """(3,) products of expected and true advantages: one with the other, each with itself."""
    answer = np.repeat(np.arange(len(votes)), votes.astype(np.int64))
    group = np.zeros(len(answer), np.int64)
    given, true = (expected_advantages(group, answer, v[answer], several=several) for v in (value, truth))
    return np.array([given @ true, given @ given, true @ true])


def decided_with_confidence(beliefs: AnswerBeliefs, questions: int) -> NDArray[np.bool_]:
    """(q,) whether it is as good as known which answers of a question are right."""
    sure = np.maximum(beliefs.right, 1 - beliefs.right) >= SURE
    each = np.bincount(beliefs.group, ~sure, questions) == 0
    top = np.zeros(questions)
    np.maximum.at(top, beliefs.group, beliefs.right)
    votes = np.bincount(beliefs.answer)[beliefs.answer] if len(beliefs.answer) else np.zeros(0)
    any_right = np.bincount(beliefs.group, beliefs.right / votes, questions)
    several = np.zeros(questions, np.bool_)
    several[beliefs.group] = beliefs.several
    return np.where(several, each, (top >= SURE) | (any_right <= 1 - SURE))


def cohen_kappa(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Agreement of two judges beyond chance, (observed - expected) / (1 - expected); NaN where chance explains all."""
    if not first:
        return float("nan")
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float(((a == b).mean() - expected) / (1 - expected)) if expected < 1 - _TINY else float("nan")


def twice_judged(decisions: Mapping[str, Sequence[Event]]) -> tuple[list[bool], list[bool], set[str], set[str]]:
    """Return verdicts of first and second judges on the same answers, questions judged twice, open disputes."""
    first, second, twice, disputed = [], [], set(), set()
    for query_id, events in decisions.items():
        by: dict[str, dict[str, bool]] = {}
        for event in events:
            if not event.data.get("settles") and not is_judge(event.annotator):
                by.setdefault(event.annotator, {}).update(event.data["verdicts"])
        one, two = list(by.values())[:2] if len(by) > 1 else ({}, {})
        if both := sorted(one.keys() & two.keys()):
            twice.add(query_id)
            first += [one[key] for key in both]
            second += [two[key] for key in both]
            settled = any(event.data.get("settles") for event in events)
            if not settled and any(one[key] != two[key] for key in both):
                disputed.add(query_id)
    return first, second, twice, disputed


def people_and_judges(decisions: Mapping[str, Sequence[Event]]) -> tuple[int, int]:
    """Return how many answers both a person and a judge model judged, and on how many of them they agree."""
    both = agreed = 0
    for events in decisions.values():
        said: dict[bool, dict[str, bool]] = {True: {}, False: {}}
        for event in events:
            said[is_judge(event.annotator)].update(event.data["verdicts"])
        common = said[True].keys() & said[False].keys()
        both += len(common)
        agreed += sum(said[True][key] == said[False][key] for key in common)
    return both, agreed


def is_judge(annotator: str) -> bool:
    return annotator.startswith(JUDGE)


def next_ten(gains: Sequence[float], rollouts: int) -> float:
    """Return the share of the advantages that the ten best labels are expected to change."""
    return float(sum(sorted(gains, reverse=True)[:10])) / max(rollouts, 1)
