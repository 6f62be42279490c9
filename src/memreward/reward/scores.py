"""What scoring gives: a list of scores that knows its rollouts, as numbers, rows, or a data frame."""

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memreward.types import MissingExtraError, Rollout, Score

COLUMNS = {
    "query_id": "text",
    "rollout_id": "text",
    "value": "real",
    "advantage": "real",
    "source": "text",
    "answer": "text",
    "confidence": "text",
    "reason": "text",
}
"""Columns of a row, and their kinds."""
_EDGES = (
    (0.95, "almost certainly right"),
    (0.75, "probably right"),
    (0.25, "open"),
    (0.05, "probably wrong"),
    (0.0, "almost certainly wrong"),
)
_VOTES = ((0.999, "all agree, unchecked"), (0.501, "most agree, unchecked"), (0.0, "few agree, unchecked"))
_VOTES_ONLY = "votes only: no prior knows this domain"
_SHOWN = 20


class Scores(list[Score]):
    """One `Score` a rollout, in the order in which they were given.

    Attributes:
        known: Ids of the rollouts whose score is a label that the ledger holds.
        voted: Domains in which a value is the share of a question's rollouts that agree, and no more.
    """

    def __init__(
        self, scores: Iterable[Score], rollouts: Sequence[Rollout], known: Iterable[str] = (), voted: Iterable[str] = ()
    ) -> None:
        super().__init__(scores)
        self.rollouts, self.known, self.voted = tuple(rollouts), frozenset(known), frozenset(voted)

    @property
    def values(self) -> NDArray[np.float64]:
        """(n,) probability of being right, 1 or 0 where a label says so; NaN is an abstention."""
        return np.array([np.nan if one.value is None else one.value for one in self])

    @property
    def advantages(self) -> NDArray[np.float64]:
        """(n,) expected advantage within the question's rollouts; 0 for an abstention."""
        return np.array([one.advantage for one in self])

    @property
    def by_question(self) -> dict[str, list[Score]]:
        found: dict[str, list[Score]] = {}
        for rollout, one in zip(self.rollouts, self, strict=True):
            found.setdefault(rollout.query.id, []).append(one)
        return found

    def rows(self, keep: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return one row a rollout with `COLUMNS` and what is kept besides: "question", "text".

        `source` is "true" where the score is a label, "predicted" elsewhere; `confidence` says in words what is held.
        """
        return [self._row(rollout, one, keep) for rollout, one in zip(self.rollouts, self, strict=True)]

    def _row(self, rollout: Rollout, score: Score, keep: Sequence[str]) -> dict[str, Any]:
        known = rollout.id in self.known
        voted = not known and score.value is not None and rollout.query.domain in self.voted
        texts = {"question": rollout.query.text, "text": rollout.text}
        return {
            "query_id": rollout.query.id,
            "rollout_id": rollout.id,
            "value": score.value,
            "advantage": score.advantage,
            "source": "true" if known else "predicted",
            "answer": rollout.answer,
            "confidence": in_words(score.value, known=known, voted=voted),
            "reason": _VOTES_ONLY if voted else score.reason,
            **{name: texts[name] for name in keep if name in texts},
        }

    def to_pandas(self, keep: Sequence[str] = ()) -> Any:
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise MissingExtraError("pandas", "hub", "a data frame of scores") from error
        return DataFrame(self.rows(keep), columns=[*COLUMNS, *keep])

    def to_dataset(self, keep: Sequence[str] = ()) -> Any:
        try:
            from datasets import Dataset
        except ImportError as error:
            raise MissingExtraError("datasets", "hub", "a data set of scores") from error
        return Dataset.from_list(self.rows(keep))

    def __repr__(self) -> str:
        questions, abstained = len(self.by_question), sum(one.value is None for one in self)
        parts = [f"{len(self)} rollouts of {questions} questions", f"{len(self.known)} labelled"]
        if abstained:
            parts.append(f"{abstained} abstained")
        elif len(self):
            parts.append(f"mean value {self.values.mean():.2f}")
        return f"Scores({', '.join(parts)})"

    def _repr_html_(self) -> str:
        shown = ("query_id", "answer", "value", "advantage", "source", "confidence")
        head = "".join(f"<th>{name}</th>" for name in shown)
        lines = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(row[name]))}</td>" for name in shown) + "</tr>"
            for row in Scores(self[:_SHOWN], self.rollouts[:_SHOWN], self.known, self.voted).rows()
        )
        more = f"<p>and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{lines}</table>{more}"


def in_words(value: float | None, *, known: bool, voted: bool = False) -> str:
    """Say what a value means; where it is a share of votes, no more than that."""
    if value is None:
        return "abstained"
    if known:
        return "known to be right" if value > 0.5 else "known to be wrong"
    return next(word for edge, word in (_VOTES if voted else _EDGES) if value >= edge)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)[:80]
