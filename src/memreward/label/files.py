"""Labelling without the page: questions go out in a file, and come back with what somebody said of their answers.

A line is one question: `id`, `question`, `options`, `ask` ("whole" or "one"), and `answers`, each with its `text`, a
typical `solution` and the ids of the `rollouts` that give it. Whoever labels sets `right` of each answer to true or
false; null says nothing of it. `skip` may hold a reason, `broken` may be true.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from memreward.label.session import Labelling
from memreward.label.task import Task
from memreward.label.view import shown
from memreward.temporary import write_whole
from memreward.types import DataError

Record = dict[str, Any]


def batch(labelling: Labelling, count: int, annotator: str) -> list[Record]:
    return [record(labelling, task) for task in labelling.take(annotator, count)]


def record(labelling: Labelling, task: Task) -> Record:
    seen = shown(labelling, task)
    ids, outlook = labelling.outlook.features.rollout_ids, labelling.outlook
    asked = [each for each in seen.answers if task.kind == "whole" or each.answer == task.asked]
    return {
        "id": task.query_id,
        "question": seen.question,
        "options": dict(seen.options),
        "ask": task.kind,
        "several": task.several,
        "answers": [
            {
                "text": each.text,
                "solution": each.solution,
                "rollouts": [ids[row] for row in outlook.rows(each.answer)],
                "right": None,
            }
            for each in asked
        ],
    }


def take_in(labelling: Labelling, records: Iterable[Mapping[str, Any]], annotator: str) -> Counter[str]:
    """Enter what came back, question by question; what was entered before a bad line stays.

    Returns how many were "entered", "skipped", flagged as "broken", "unanswered". Raises DataError where a line does
    not say of which question, or of which answers, it speaks, BudgetError where no further question may be labelled.
    """
    found = Counter(dict.fromkeys(("entered", "skipped", "broken", "unanswered"), 0))
    for number, each in enumerate(records, start=1):
        query_id = each.get("id")
        if not isinstance(query_id, str):
            raise DataError(f"line {number} has no question's 'id'; give the lines that --batch wrote")
        if each.get("broken"):
            labelling.flag(annotator, query_id)
            found["broken"] += 1
        elif each.get("skip"):
            labelling.skip(annotator, query_id, str(each["skip"]))
            found["skipped"] += 1
        else:
            said = _said(labelling, each, number)
            for asked, right in said:
                labelling.decide(annotator, query_id, right, asked=asked, seconds=float(each.get("seconds") or 0.0))
            found["entered" if said else "unanswered"] += 1
    return found


def _said(labelling: Labelling, each: Mapping[str, Any], number: int) -> list[tuple[int, list[int]]]:
    """What was said, as decisions: (answer asked about or -1, right ones)."""
    verdicts: dict[int, bool] = {}
    for given in each.get("answers", ()):
        if given.get("right") is not None:
            verdicts[_answer(labelling, str(each["id"]), given, number)] = bool(given["right"])
    if not verdicts:
        return []
    outlook = labelling.outlook
    answers = [a for a in labelling.answers(str(each["id"])) if not outlook.mute[a]]
    right = [answer for answer, verdict in verdicts.items() if verdict]
    if verdicts.keys() >= set(answers) or (right and not outlook.several[answers[0]]):
        return [(-1, right)]
    return [(answer, [answer] if verdict else []) for answer, verdict in verdicts.items()]


def _answer(labelling: Labelling, query_id: str, given: Mapping[str, Any], number: int) -> int:
    rollouts = set(given.get("rollouts") or ())
    for answer in labelling.answers(query_id):
        ids = labelling.outlook.features.rollout_ids
        if rollouts & {ids[row] for row in labelling.outlook.rows(answer)}:
            return answer
    raise DataError(f"line {number}: question {query_id!r} has no answer with rollouts {sorted(rollouts)[:3]}")


def write(path: Path, records: Iterable[Mapping[str, Any]], *, listed: bool = False) -> None:
    """Write one JSON object a line, or a list of them, whole or not at all."""
    lines = [json.dumps(each, ensure_ascii=True) for each in records]
    write_whole(path, "[\n" + ",\n".join(lines) + "\n]\n" if listed else "".join(f"{line}\n" for line in lines))


def read(path: Path) -> list[Record]:
    """Read one JSON object a line, or a list of them."""
    text = path.read_text(encoding="utf-8")
    try:
        whole = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.splitlines() if x]
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON: {error}; give JSON Lines or a list") from error
    if not all(isinstance(each, dict) for each in whole):
        raise DataError(f"{path}: every entry must be an object")
    return list(whole)
