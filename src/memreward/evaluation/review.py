"""Where scores were wrong: what was believed beside what is right, question by question, the worst first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup

from memreward.domains import Verifiers, cluster_answers, parse_rollout
from memreward.evaluation.report import html_page, html_part, html_table
from memreward.evaluation.tables import Table
from memreward.memory import measured
from memreward.types import DataError, Group, Query, Rollout

NEEDED = ("query_id", "rollout_id", "value", "answer", "source")


@dataclass(frozen=True)
class Answer:
    """A distinct answer, None for rollouts without one; its mean value, and one of its texts, if known."""

    text: str | None
    value: float
    rollouts: int
    right: bool
    example: str

    @property
    def name(self) -> str:
        return self.text if self.text is not None else "(no answer)"


@dataclass(frozen=True)
class Question:
    """A scored question; `error` is the mean square of value less truth, `answers` begin with the most believed."""

    id: str
    text: str
    error: float
    answers: tuple[Answer, ...]

    @property
    def believed(self) -> Answer:
        return self.answers[0]

    @property
    def right(self) -> Answer | None:
        """The most believed of the right answers; None where no rollout is right."""
        return next((answer for answer in self.answers if answer.right), None)

    @property
    def others(self) -> list[Answer]:
        return [answer for answer in self.answers if answer is not self.believed and answer is not self.right]


@dataclass(frozen=True)
class Review:
    """Scores beside the truth: the worst question first, and by word of confidence, rollouts and how many are right."""

    questions: tuple[Question, ...]
    rollouts: int
    unknown: int
    words: Mapping[str, tuple[int, int]]

    @property
    def believed_right(self) -> int:
        return sum(question.believed.right for question in self.questions)

    @property
    def by_confidence(self) -> Table:
        rows = tuple((word, str(n), f"{right / n:.0%}") for word, (n, right) in self.words.items())
        return Table("What the words meant", ("confidence", "rollouts", "right"), rows)


def review(rows: Iterable[tuple[str, Any]], groups: Sequence[Group]) -> Review:
    """Hold scores against labelled groups: verdicts on the same rollouts, else references, by which they are verified.

    The labels are used to measure, through a ledger that ends with the call. What a label had scored is left out.
    Raises DataError where a row is not a score, or no row has a label.
    """
    scored = [row for where, row in rows if _checked(where, row)["source"] != "true" and row["value"] not in (None, "")]
    by_id = {group.query.id: group for group in groups}
    wanted: dict[str, list[Mapping[str, Any]]] = {}
    for row in scored:
        if row["query_id"] in by_id:
            wanted.setdefault(row["query_id"], []).append(row)
    truth = measured(list(by_id.values()))
    rollouts = {name: [_rollout(row, by_id[name]) for row in part] for name, part in wanted.items()}
    open_ = [
        by_id[name].answered(part, {})
        for name, part in rollouts.items()
        if not any(rollout.id in truth for rollout in part) and by_id[name].sealed_counts[0]
    ]
    truth |= measured(open_, Verifiers())
    known = [row for row in scored if row["rollout_id"] in truth]
    if not known:
        raise DataError(
            f"none of {len(scored)} predicted rollouts has a label there: give --against a file with the same question "
            "ids, and with verdicts on the same rollouts or references"
        )
    values = {row["rollout_id"]: float(row["value"]) for row in scored}
    questions = [_question(by_id[name].query, part, values, truth) for name, part in rollouts.items()]
    counts = Counter(row.get("confidence", "") for row in known)
    right = Counter(row.get("confidence", "") for row in known if truth[row["rollout_id"]])
    words = {word: (counts[word], right[word]) for word in sorted(counts, key=lambda word: -right[word] / counts[word])}
    worst = sorted(filter(None, questions), key=lambda each: (each.believed.right, -each.error, each.id))
    return Review(tuple(worst), len(known), len(scored) - len(known), words)


def _checked(where: str, row: Any) -> Mapping[str, Any]:
    if isinstance(row, DataError):
        raise row
    if missing := [name for name in NEEDED if name not in row]:
        raise DataError(f"{where}: not a row of scores: {', '.join(missing)} missing; give what memreward score wrote")
    return row  # type: ignore[no-any-return]


def _rollout(row: Mapping[str, Any], group: Group) -> Rollout:
    known = next((rollout for rollout in group.rollouts if rollout.id == row["rollout_id"]), None)
    if known is not None:
        return known
    if row.get("text"):
        return parse_rollout(group.query, row["text"], id=row["rollout_id"])
    return Rollout(group.query, "", "", row["answer"] or None, row["rollout_id"])


def _question(
    query: Query, rollouts: Sequence[Rollout], values: Mapping[str, float], truth: Mapping[str, bool]
) -> Question | None:
    known = [rollout for rollout in rollouts if rollout.id in truth]
    if not known:
        return None
    error = sum((values[r.id] - truth[r.id]) ** 2 for r in known) / len(known)
    classes = cluster_answers([r.answer for r in known], query.domain, query_text=query.text)
    order = sorted(range(len(known)), key=lambda i: classes[i])
    answers = []
    for _, places in groupby(order, key=lambda i: classes[i]):
        members = [known[i] for i in places]
        mean = sum(values[r.id] for r in members) / len(members)
        right = sum(truth[r.id] for r in members) > len(members) / 2
        answers.append(Answer(members[0].answer, mean, len(members), right, members[0].text))
    answers.sort(key=lambda answer: (-answer.value, -answer.rollouts))
    return Question(query.id, query.text, error, tuple(answers))


def review_page(found: Review, worst: int, facts: Mapping[str, Any]) -> str:
    """Return one HTML page that loads nothing: the believed answer beside the right one, with their texts."""
    shown = found.questions[:worst]
    summary = (
        f"The most believed answer is right in {found.believed_right} of {len(found.questions)} questions. "
        f"{found.rollouts} predicted rollouts have a label, {found.unknown} have none."
    )
    sections = {
        "By confidence": html_table(found.by_confidence),
        f"The {len(shown)} worst questions": Markup().join(html_part("question", each) for each in shown),
    }
    return html_page("Where the scores were wrong", summary, sections, facts, contents="Parts")
