"""Task formats of Label Studio and Argilla, both ways: a batch goes out as their tasks, their annotations come back.

Label Studio: tasks with `data`, imported with `LABEL_STUDIO_CONFIG` as the interface; its JSON export comes back.
Argilla: records for a data set with a multi-label question "right"; records with `responses` come back. Both see
numbered choices, in the batch's order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
