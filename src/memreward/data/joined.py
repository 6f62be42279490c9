"""From what rows hold to one record a question: rollouts put together, references found, ids given."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from memreward.data.chat import query_id_of, rollout_ids
from memreward.data.containers import Entry
from memreward.data.formats.found import Finds, Found
from memreward.domains.choice.parse import has_plain_options
from memreward.types import DOMAINS, DataError

_MOST_COMPARISONS = 20_000_000
"""Questions times prompts, at most, that are searched for each other: some ten seconds."""


@dataclass
class _Question:
    where: str
    text: str
    id: str
    reference: str | None = None
    domain: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    rollouts: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Found, *, own: bool) -> None:
        """Take in what a row says; `own` where its text is this question's, and not a prompt that holds it."""
        if own and row.question not in (None, self.text):
            raise DataError(
                f"{row.where}: field 'id': {self.id!r} names another question at {self.where}; give each question its "
                "own id, or leave the column out (--id): then a hash of the text names it"
            )
        for name in ("reference", "domain"):
            said, known = getattr(row, name), getattr(self, name)
            if None not in (said, known) and said.strip() != known.strip():
                raise DataError(
                    f"{row.where}: field {name!r}: is {said!r}, and {known!r} for the same question at {self.where}; "
                    "leave one of them out"
                )
            setattr(self, name, said if known is None else known)
        self.rollouts += row.rollouts
        self.extras |= row.extras

    def record(self) -> dict[str, Any]:
        """Return it in the schema. Ids are made of texts, so that reading again makes the same rollouts."""
        texts = [
            f"{each['policy_version']}\n{each['text']}" if "policy_version" in each else each["text"]
            for each in self.rollouts
        ]
        ids = rollout_ids(self.id, texts)
        rollouts = [{"id": name, **each} for name, each in zip(ids, self.rollouts, strict=True)]
        domain = self.domain or ("qa" if has_plain_options(self.text) else None)
        about = {"id": self.id, "dataset": "", "domain": domain, "query": self.text, "reference": self.reference}
        return {**about, "rollouts": rollouts, **self.extras}


def joined(found: Finds) -> Iterator[Entry]:
    """Yield one record of the rollout schema a question, or what is wrong, in the order of first appearance.

    A row belongs to the question of its id, else of its text, else, where it has rollouts, to the question without any
    whose id its custom id begins with, or whose text stands in its prompt.
    """
    rows: list[Found] = []
    for one in found:
        if isinstance(one, Found):
            rows.append(one)
        else:
            yield one
    shelf, lost = _Shelf(rows), list[Found]()
    for row in sorted(rows, key=lambda row: (row.question is None, bool(row.rollouts))):
        try:
            if not shelf.add(row):
                lost.append(row)
        except DataError as error:
            yield row.where, error
    if lost:
        yield lost[0].where, _unknown(lost)
    records = [(question.where, question.record()) for question in shelf.questions.values()]
    without = [where for where, record in records if record["domain"] is None]
    if without:
        raise DataError(
            f"{without[0]}: {len(without)} of {len(records)} questions have no domain; give --domain math, in "
            f"Python Reading(domain='math') ({', '.join(DOMAINS)}, or a column that says so)"
        )
    yield from records


def _unknown(lost: Sequence[Found]) -> DataError:
    """Of rows that have neither a question nor the id of one."""
    first, count = lost[0], f"{len(lost)} answers do" if len(lost) > 1 else "an answer does"
    if first.custom_id is None:
        rows = f"{len(lost)} rows" if len(lost) > 1 else "a row"
        return DataError(
            f"{first.where}: field 'id': {first.id!r} is the id of no question in the other files; of {rows} it is not "
            "known what was asked; leave them out (--skip-bad), or name the column of ids (--id)"
        )
    return DataError(
        f"{first.where}: field 'custom_id': {count} not say what was asked, {first.custom_id!r} for one; give the "
        "requests (--requests requests.jsonl), or a file of questions whose ids the custom ids begin with (--id COLUMN)"
    )


class _Shelf:
    def __init__(self, rows: Sequence[Found]) -> None:
        self.questions: dict[str, _Question] = {}
        self.by_text: dict[str, _Question] = {}
        self._of_rows = _files_whose_ids_name_rows(rows)
        self._asked = {
            " ".join(row.question.split()): row.question for row in rows if row.question and not row.rollouts
        }
        self._prompts = len({row.question for row in rows if row.rollouts and row.question})
        self._inside: dict[str, _Question | None] = {}

    def add(self, row: Found) -> bool:
        identity = None if not row.sure and _file(row) in self._of_rows else row.id
        known = self.questions.get(identity) if identity else self.by_text.get(row.question or "")
        if known is not None:
            known.add(row, own=True)
        elif identity is None and (home := self._home(row)) is not None:
            home.add(row, own=False)
        elif row.question is None:
            return False
        else:
            made = _Question(row.where, row.question, identity or query_id_of(row.question))
            made.add(row, own=True)
            self.questions[made.id] = self.by_text[made.text] = made
        return True

    def _home(self, row: Found) -> _Question | None:
        """The question that came without rollouts and that this row's custom id or prompt names."""
        if not row.rollouts:
            return None
        name = row.custom_id or ""
        for end in [len(name), *(match.start() for match in reversed(list(re.finditer(r"[^0-9A-Za-z]", name))))]:
            if name[:end] in self.questions:
                return self.questions[name[:end]]
        if row.question is None or not self._asked:
            return None
        if row.question not in self._inside:
            self._inside[row.question] = self._held_by(row.where, " ".join(row.question.split()))
        return self._inside[row.question]

    def _held_by(self, where: str, prompt: str) -> _Question | None:
        if len(self._asked) * self._prompts > _MOST_COMPARISONS:
            raise DataError(
                f"{where}: {len(self._asked)} questions are too many to look for in {self._prompts} prompts; let "
                "the custom ids begin with the questions' ids"
            )
        held = [text for text in self._asked if text in prompt]
        return self.by_text[self._asked[max(held, key=len)]] if held else None


def _files_whose_ids_name_rows(rows: Sequence[Found]) -> set[str]:
    """Files in which a column that is usually a question's id differs between rows of one question."""
    pairs = {(_file(row), row.id, row.question) for row in rows if not row.sure and row.id is not None}
    of_ids, of_texts = (
        Counter((file, name) for file, name, _ in pairs),
        Counter((file, text) for file, _, text in pairs),
    )
    return {file for file, name, text in pairs if of_ids[file, name] > 1 or of_texts[file, text] > 1}


def _file(row: Found) -> str:
    return row.where.rpartition(", ")[0]
