"""Task formats of Label Studio and Argilla, both ways: a batch goes out as their tasks, their annotations come back.

Label Studio: a list of tasks with `data`, imported with `LABEL_STUDIO_CONFIG` as the project's interface; its JSON
export comes back. Argilla: records with `id`, `fields`, `metadata`, for a data set with the questions of
`argilla_settings`; records with `responses` come back. Both see answers as numbered choices, in the batch's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    """Return a batch as Label Studio's tasks."""
    return [
        {
            "data": {
                "memreward_id": each["id"],
                "question": _question(each),
                "answers": "\n\n".join(f"[{n}] {a['text']}\n{a['solution']}" for n, a in _numbered(each)),
                "choices": [{"value": choice} for choice in _choices(each)],
                "memreward": dict(each),
            }
        }
        for each in records
    ]


def from_label_studio(tasks: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return what Label Studio exported as JSON as a batch that came back; of several annotations the last counts."""
    found = []
    for task in tasks:
        given = dict(_inside(task.get("data", {}), "Label Studio"))
        annotations = [a for a in task.get("annotations", ()) if not a.get("was_cancelled")]
        chosen: list[str] | None = None
        for result in annotations[-1]["result"] if annotations else ():
            if result.get("from_name") == _FIELD:
                chosen = list(result["value"]["choices"])
        seconds = float((annotations[-1].get("lead_time") if annotations else 0) or 0)
        found.append(_answered(given, chosen) | ({"seconds": seconds} if chosen else {}))
    return found


def argilla_settings() -> Record:
    """Return fields and questions of a data set, as arguments for `rg.TextField` and `rg.MultiLabelQuestion`."""
    labels = [*(str(n) for n in range(1, 21)), NONE, BROKEN, SKIP]
    return {
        "guidelines": "Mark the number of every right answer, or that none is.",
        "fields": [{"name": "question"}, {"name": "answers"}],
        "questions": [{"name": _FIELD, "title": "Which answers are right?", "labels": labels}],
        "metadata": [{"name": "memreward"}],
    }


def to_argilla(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return a batch as Argilla's records, in the shape that `rg.Record(**record)` takes."""
    import json

    return [
        {
            "id": each["id"],
            "fields": {
                "question": _question(each),
                "answers": "\n\n".join(f"[{n}] {a['text']}\n{a['solution']}" for n, a in _numbered(each)),
            },
            "metadata": {"memreward": json.dumps(dict(each))},
        }
        for each in records
    ]


def from_argilla(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return Argilla's records, as its SDK's `to_dict` gives them, as a batch that came back."""
    import json

    found = []
    for each in records:
        metadata = dict(each.get("metadata") or {})
        if isinstance(metadata.get("memreward"), str):
            metadata["memreward"] = json.loads(metadata["memreward"])
        given = dict(_inside(metadata, "Argilla"))
        chosen: list[str] | None = None
        for response in (each.get("responses") or {}).get(_FIELD, ()):
            if response.get("status", "submitted") in (None, "submitted"):
                value = response["value"]
                chosen = [value] if isinstance(value, str) else list(value)
        found.append(_answered(given, chosen))
    return found


def _inside(data: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
    if not isinstance(data.get("memreward"), Mapping):
        raise DataError(f"a task of {tool} lacks what was put into it ('memreward'): export it with its data")
    given: Mapping[str, Any] = data["memreward"]
    return given


def _numbered(each: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    return list(enumerate(each["answers"], start=1))


def _choices(each: Mapping[str, Any]) -> list[str]:
    return [*(f"{n}" for n, _ in _numbered(each)), NONE, BROKEN, SKIP]


def _question(each: Mapping[str, Any]) -> str:
    return "\n".join([str(each["question"]), *(f"({key}) {text}" for key, text in each["options"].items())])


def _answered(given: Record, chosen: Sequence[str] | None) -> Record:
    """A batch's line with what was chosen in it."""
    if not chosen:
        return given
    if BROKEN in chosen:
        return {**given, "broken": True}
    if SKIP in chosen:
        return {**given, "skip": SKIP}
    marked = {choice for choice in chosen if choice != NONE}
    answers = [{**answer, "right": str(n) in marked} for n, answer in _numbered(given)]
    return {**given, "answers": answers}
