"""Plain texts in: questions and completions as lists of strings."""

from collections.abc import Iterable, Mapping
from typing import Any

from memreward.data.chat import query_id_of, rollout_ids
from memreward.data.records import group_from_record
from memreward.domains import parse_rollout
from memreward.types import DataError, Group, Query, Rollout

_TAKES = (
    "give rollouts, groups (memreward.read_groups), or questions and completions as lists of texts: "
    'score(["What is 2 + 3?"], [["It is 5.", "It is 6."]], domain="math")'
)


def rollouts_in(given: Any, completions: Any = None, domain: str = "math") -> list[Rollout]:
    """Return the rollouts of what people hand over: rollouts, groups, a group, or questions and completions.

    Raises TypeError for anything else, DataError where there are not as many completions as questions.
    """
    if completions is not None:
        return [rollout for each in _asked(given, completions, domain) for rollout in each]
    if isinstance(given, Group):
        return list(given.rollouts)
    if isinstance(given, Rollout | str | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"{type(given).__name__} is not a list of rollouts: {_TAKES}")
    found = list(given)
    if others := sorted({type(one).__name__ for one in found if not isinstance(one, Rollout | Group)}):
        raise TypeError(f"{', '.join(others)} among what is to be scored: {_TAKES}")
    return [rollout for one in found for rollout in (one.rollouts if isinstance(one, Group) else (one,))]


def _asked(questions: Any, completions: Any, domain: str) -> list[list[Rollout]]:
    """The rollouts of each question that was asked, which may be asked twice."""
    texts, said = listed("questions", questions), listed("completions", completions)
    if len(texts) != len(said):
        raise DataError(
            f"{len(texts)} questions and {len(said)} completions: give one text, or a list of texts, for each question"
        )
    if wrong := sorted({type(text).__name__ for text in texts if not isinstance(text, str)}):
        raise TypeError(f"{', '.join(wrong)} among the questions: {_TAKES}")
    groups = [[each] if isinstance(each, str) else listed("completions", each) for each in said]
    if wrong := sorted({type(text).__name__ for group in groups for text in group if not isinstance(text, str)}):
        raise TypeError(f"{', '.join(wrong)} among the completions: {_TAKES}")
    queries = [Query(query_id_of(text), text, domain) for text in texts]
    places: dict[str, list[str]] = {}
    for query, group in zip(queries, groups, strict=True):
        places.setdefault(query.id, []).extend(group)
    ids = {name: iter(rollout_ids(name, held)) for name, held in places.items()}
    return [
        [parse_rollout(query, text, id=next(ids[query.id])) for text in group]
        for query, group in zip(queries, groups, strict=True)
    ]


def listed(name: str, values: Any) -> list[Any]:
    """Return the values as a list.

    Raises:
        TypeError: they are a text, or no sequence.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is {type(values).__name__}, not a list: {_TAKES}")
    return list(values)


def groups_of_plain(questions: Any, completions: Any, labels: Any, domain: str) -> tuple[list[Group], list[Rollout]]:
    """Return the groups of n questions with their sealed labels, and all rollouts in the order they were given.

    Labels are references, verdicts or lists of verdicts, None where there is none. Raises TypeError where these are no
    lists of texts, DataError where their numbers differ or a question has two references.
    """
    asked = _asked(questions, completions, domain)
    given = [None] * len(asked) if labels is None else listed("labels", labels)
    if len(given) != len(asked):
        raise DataError(f"{len(asked)} questions and {len(given)} labels: give one for each, None where there is none")
    records: dict[str, dict[str, Any]] = {}
    for text, rollouts, told in zip(listed("questions", questions), asked, given, strict=True):
        about = {"id": query_id_of(text), "domain": domain, "query": text, "reference": None}
        record = records.setdefault(text, about | {"rollouts": []})
        reference, verdicts = _told(told, len(rollouts))
        if None not in (reference, record["reference"]) and reference != record["reference"]:
            raise DataError(f"question {text[:60]!r} has two references, {record['reference']!r} and {reference!r}")
        record["reference"] = reference if reference is not None else record["reference"]
        record["rollouts"] += [
            {"id": rollout.id, "text": rollout.text, "correct": verdict}
            for rollout, verdict in zip(rollouts, verdicts, strict=True)
        ]
    groups = [group_from_record(record, where=f"question {text[:40]!r}") for text, record in records.items()]
    return groups, [rollout for each in asked for rollout in each]


def _told(label: Any, count: int) -> tuple[str | None, list[bool | None]]:
    """The reference, and a verdict for each of so many completions."""
    if label is None or isinstance(label, str):
        return label, [None] * count
    if isinstance(label, bool):
        label = [label]
    if isinstance(label, int | float):
        return str(label), [None] * count
    verdicts = listed("labels", label)
    if any(verdict not in (True, False, None) for verdict in verdicts):
        raise TypeError(f"the label {label!r} is neither a reference (a text or number) nor verdicts (true or false)")
    if len(verdicts) != count:
        raise DataError(f"{len(verdicts)} verdicts on {count} completions: give one for each, None where unknown")
    return None, [None if verdict is None else bool(verdict) for verdict in verdicts]
