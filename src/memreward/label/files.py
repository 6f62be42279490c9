"""Labelling without the page: questions go out in a file, and come back with what somebody said of their answers.

A line is one question: `id`, `question`, `options`, `ask` ("whole" or "one"), and `answers`, each with its `text`, a
typical `solution` and the ids of the `rollouts` that give it. Whoever labels sets `right` of each answer to true or
false; null says nothing of it. `skip` may hold a reason, `broken` may be true.

The same batch goes out as tasks of two tools, and their annotations come back. Label Studio: tasks with `data`,
imported with `LABEL_STUDIO_CONFIG` as the interface; its JSON export comes back. Argilla: records for a data set with a
multi-label question "right"; records with `responses` come back. Both see numbered choices, in the batch's order.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from memreward.label.queue import Task
from memreward.label.session import Labelling
from memreward.label.view import shown
from memreward.temporary import write_whole
from memreward.types import DataError

Record = dict[str, Any]
NONE, BROKEN, SKIP = "none of these", "broken question", "I cannot tell"
_FIELD = "right"
LABEL_STUDIO_CONFIG = f"""<View>
  <Header value="Which answer is right?"/>
  <Text name="question" value="$question"/>
  <Text name="answers" value="$answers"/>
  <Choices name="{_FIELD}" toName="question" choice="multiple" value="$choices" layout="vertical"/>
</View>
"""


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


def to_label_studio(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    return [
        {
            "data": {
                "memreward_id": each["id"],
                **_texts(each),
                "choices": [{"value": choice} for choice in _choices(len(each["answers"]))],
                "memreward": dict(each),
            }
        }
        for each in records
    ]


def from_label_studio(tasks: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return what Label Studio exported as JSON as a batch that came back; of several annotations the last counts."""
    found = []
    for task in tasks:
        given = _inside(task.get("data", {}), "Label Studio")
        annotations = [a for a in task.get("annotations", ()) if not a.get("was_cancelled")]
        last: Mapping[str, Any] = annotations[-1] if annotations else {}
        results = [result for result in last.get("result", ()) if result.get("from_name") == _FIELD]
        chosen = results[-1]["value"]["choices"] if results else []
        seconds = {"seconds": float(last.get("lead_time") or 0)} if chosen else {}
        found.append(_answered(given, chosen) | seconds)
    return found


def to_argilla(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return a batch as Argilla's records, in the shape that `rg.Record(**record)` takes."""
    return [
        {"id": each["id"], "fields": _texts(each), "metadata": {"memreward": json.dumps(dict(each))}}
        for each in records
    ]


def from_argilla(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return Argilla's records, as its SDK's `to_dict` gives them, as a batch that came back."""
    found = []
    for each in records:
        metadata = dict(each.get("metadata") or {})
        if isinstance(metadata.get("memreward"), str):
            metadata["memreward"] = json.loads(metadata["memreward"])
        responses = (each.get("responses") or {}).get(_FIELD, ())
        submitted = [one["value"] for one in responses if one.get("status", "submitted") in (None, "submitted")]
        chosen = submitted[-1] if submitted else []
        found.append(_answered(_inside(metadata, "Argilla"), [chosen] if isinstance(chosen, str) else chosen))
    return found


def _inside(data: Mapping[str, Any], tool: str) -> Record:
    if not isinstance(data.get("memreward"), Mapping):
        raise DataError(f"a task of {tool} lacks what was put into it ('memreward'): export it with its data")
    return dict(data["memreward"])


def _choices(answers: int) -> list[str]:
    return [*(f"{n}" for n in range(1, answers + 1)), NONE, BROKEN, SKIP]


def _texts(each: Mapping[str, Any]) -> dict[str, str]:
    """What both tools show: the question with its options, and the numbered answers."""
    question = [str(each["question"]), *(f"({key}) {text}" for key, text in each["options"].items())]
    answers = [f"[{n}] {a['text']}\n{a['solution']}" for n, a in enumerate(each["answers"], start=1)]
    return {"question": "\n".join(question), "answers": "\n\n".join(answers)}


def _answered(given: Record, chosen: Sequence[str]) -> Record:
    if not chosen:
        return given
    if BROKEN in chosen:
        return {**given, "broken": True}
    if SKIP in chosen:
        return {**given, "skip": SKIP}
    answers = [{**answer, "right": str(n) in chosen} for n, answer in enumerate(given["answers"], start=1)]
    return {**given, "answers": answers}


def is_label_studio(path: Path) -> bool:
    return path.suffix == ".json"


def as_named(path: Path, records: list[Record]) -> list[Record]:
    """Return a batch as what a file's name asks for: tasks of Label Studio, records of Argilla, or the batch itself."""
    if is_label_studio(path):
        return to_label_studio(records)
    return to_argilla(records) if path.name.endswith(".argilla.jsonl") else records


def came_back(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return what came back as a batch, whichever of the tools it comes from."""
    found: list[Record] = []
    for each in records:
        if "data" in each:
            found += from_label_studio([each])
        elif "metadata" in each:
            found += from_argilla([each])
        else:
            found.append(dict(each))
    return found
