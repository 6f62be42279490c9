"""`memreward check`: what was understood of a file, what is doubtful in it, and what to do next."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from memreward.cli.common import AsJson, Files, FileSettings, reads_files
from memreward.cli.errors import Exit, ends_well
from memreward.cli.output import Output, ours
from memreward.domains import cluster_answers, rules_of
from memreward.domains.choice.parse import has_plain_options, options
from memreward.types import DataError, Group

_SHOWN = 5
_MUCH = 0.2
_MOST = 0.8
_LEFT_OUT = re.compile(r"all \d+ entries were left out")
_REMEDY = re.compile(r"(--(?:question|completions|domain|requests)) ([\w./]+)")


@ends_well("Nothing was changed: run the same command again.")
@reads_files("skip_bad", base=FileSettings(skip_bad=True))
def check(
    files: Files,
    *,
    as_json: AsJson = False,
    reading: FileSettings,
) -> None:
    """Say what was understood of files, what is doubtful, what breaks the schema, and the next command.

    Several files are read as one, as memreward read joins them. No label is opened: they are counted. The exit code is
    1 where a line breaks the schema.

    Examples:
      memreward check rollouts.jsonl
      memreward check mine.csv --question problem --answer solution --domain math
      memreward check items.csv batch_output.jsonl
    """
    output = Output(as_json)
    bad: list[str] = []
    understood = Understood(files, reading.flags)
    try:
        for _ in understood.passing(reading.groups(files, bad.append)):
            pass
    except DataError as error:
        if understood.sizes or not bad or not _LEFT_OUT.search(str(error)):
            bad.append(str(error))
    for message in bad[:_SHOWN]:
        output.note(f"broken: {message}")
    if len(bad) > _SHOWN:
        output.note(f"broken: {len(bad) - _SHOWN} more")
    show(output, understood, bad)
    if bad:
        raise typer.Exit(Exit.BAD_INPUT)


class Understood:
    """Counts over the groups of files that are read as one. Truths are counted, not opened."""

    def __init__(self, files: Sequence[Path], flags: Sequence[str] = ()) -> None:
        self.files, self.flags = files, flags
        self.domains: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.distinct: list[int] = []
        self.texts: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def passing(self, groups: Iterable[Group]) -> Iterator[Group]:
        for group in groups:
            self._add(group)
            yield group

    def _add(self, group: Group) -> None:
        rollouts, query = group.rollouts, group.query
        self.domains[query.domain] += 1
        self.sizes.append(len(rollouts))
        references, verdicts = group.sealed_counts
        self.counts["references"] += references
        self.counts["verdicts"] += verdicts
        self.counts["with verdicts"] += verdicts > 0
        self.counts["labelled"] += group.labellable and bool(rollouts)
        self.counts["answers"] += sum(rollout.answer is not None for rollout in rollouts)
        self.counts["truncated"] += sum(rollout.truncated is True for rollout in rollouts)
        lettered, listed = rules_of(query.domain).lettered, has_plain_options(query.text)
        self.counts["no options"] += lettered and not options(query.text)
        self.counts["options"] += listed and not lettered
        self.counts["same text"] += self.texts.setdefault(query.text, query.id) != query.id
        if len(rollouts) > 1:
            classes = cluster_answers([r.answer for r in rollouts], query.domain, query_text=query.text)
            self.distinct.append(len({place for place in classes if place >= 0}))

    def as_dict(self) -> dict[str, Any]:
        rollouts, several = sum(self.sizes), len(self.distinct)
        return {
            "files": list(self.files),
            "questions": len(self.sizes),
            "domains": dict(self.domains),
            "rollouts": rollouts,
            "rollouts_a_question": [min(self.sizes, default=0), max(self.sizes, default=0)],
            "answers_parsed": self.counts["answers"] / rollouts if rollouts else None,
            "distinct_answers_a_question": sum(self.distinct) / several if several else None,
            "questions_with_one_answer_only": sum(count == 1 for count in self.distinct),
            "references": self.counts["references"],
            "verdicts": self.counts["verdicts"],
            "questions_with_verdicts": self.counts["with verdicts"],
            "labels_there": self.counts["labelled"],
            "doubtful": self.doubts(),
        }

    def doubts(self) -> list[str]:
        """Return what may be wrong, each with what to do."""
        rollouts, questions, count = sum(self.sizes), len(self.sizes), self.counts
        alone = sum(size == 1 for size in self.sizes)
        agreeing = sum(number == 1 for number in self.distinct)
        none = self.sizes.count(0) % max(questions, 1)  # none at all is a file of questions
        said = {
            f"{none} questions have no rollouts; were they in a column of another name? (--completions)": none
            < questions
            and none,
            f"{alone} questions have one rollout: nothing to compare it with; are ids of rows taken for "
            "ids of questions? (--id)": alone > _MUCH * questions,
            f"no answer was found in {rollouts - count['answers']} of {rollouts} rollouts; say by --answer-pattern "
            "where it stands, or check the domain": rollouts - count["answers"] > _MUCH * rollouts,
            f"{count['truncated']} of {rollouts} rollouts were cut off at a length limit": count["truncated"]
            > _MUCH * rollouts,
            f"in {agreeing} of {len(self.distinct)} questions all rollouts answer the same: such groups teach a policy "
            "nothing": agreeing > _MOST * len(self.distinct),
            f"{count['options']} questions have lettered options and are not of domain qa": count["options"],
            f"{count['no options']} questions of domain qa show no options": count["no options"],
            f"{count['same text']} questions stand under two ids": count["same text"],
        }
        return [text for text, holds in said.items() if holds]

    def next(self, bad: Sequence[str] = ()) -> str:
        """Return the command that comes next; of a file that was refused, with what the reasons name, if they do."""
        files = shlex.join([*map(str, self.files), *self.flags])
        if not self.sizes:
            return ours(f"check {files} {' '.join(found)}") if (found := _named_in(bad)) else ""
        if not sum(self.sizes) and self.flags:
            return ours(f"read {files} --out questions.jsonl")
        if not sum(self.sizes):
            asked = shlex.quote(",".join(map(str, self.files)))
            return ours(f"collect --questions {asked} --model NAME --out rollouts.jsonl")
        if len(self.files) > 1:  # other commands read each file by itself
            return ours(f"read {files} --out rollouts.jsonl")
        labels = "" if self.counts["labelled"] else " --labels 0"
        return ours(f"warmup {files} --memory runs/memory{labels}")


def _named_in(messages: Sequence[str]) -> list[str]:
    """The options that the messages' remedies name: each once, as they first say it."""
    named: dict[str, str] = {}
    for option, value in (pair for message in messages for pair in _REMEDY.findall(message)):
        named.setdefault(option, f"{option} {value}")
    return list(named.values())


def show(output: Output, understood: Understood, bad: Sequence[str]) -> None:
    found = {**understood.as_dict(), "next": understood.next(bad), "broken": list(bad)}
    if understood.sizes:
        _show_counts(output, understood, found)
    for doubt in found["doubtful"]:
        output.note(f"doubtful: {doubt}")
    if not understood.sizes and "--domain math" in found["next"]:
        output.note("math is a guess: write qa, code or other (free text) where it is another domain")
    if understood.sizes and not any(understood.sizes):
        output.note("a file of questions: if it holds rollouts too, name their column by --completions")
    if found["next"]:
        output.note(f"next: {found['next']}")
    output.result(found)


def _show_counts(output: Output, understood: Understood, found: dict[str, Any]) -> None:
    low, high = found["rollouts_a_question"]
    parsed, distinct = found["answers_parsed"], found["distinct_answers_a_question"]
    by_verdict = found["questions_with_verdicts"]
    by = f"{by_verdict} by verdicts, {found['labels_there'] - by_verdict} by references"
    labels = f"{found['labels_there']} questions: {by}"
    output.table(
        ", ".join(map(str, understood.files)),
        ("", ""),
        [
            ("questions", f"{found['questions']} ({', '.join(f'{n} {d}' for d, n in found['domains'].items())})"),
            ("rollouts", f"{found['rollouts']}, {low if low == high else f'{low} to {high}'} a question"),
            ("answers found", "-" if parsed is None else f"{parsed:.0%} of the rollouts"),
            ("distinct answers", "-" if distinct is None else f"{distinct:.1f} a question"),
            ("references", f"{found['references']} of {found['questions']} questions"),
            ("labels there", labels if found["labels_there"] else "none: score without, or ask memreward label"),
            ("left out", "what is named above" if found["broken"] else "nothing"),
        ],
    )
