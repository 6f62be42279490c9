"""One record of a rollout file, checked field by field, to and from a `Group`.

The schema, one question a record::

    {"id", "dataset", "domain", "query", "reference",
     "rollouts": [{"id", "text", "correct", "policy_version", "token_logprobs", "truncated", ...}], ...}

Needed are `id`, `domain`, `query`, `rollouts`, and `text` in each rollout. Keys that are not named here are provenance.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from memreward.domains import parse_rollout, rules_of
from memreward.domains.choice.parse import has_plain_options, letters_of, option_of_reference, options
from memreward.types import DOMAINS, DataError, Group, Query, Rollout, Truth, UnknownDomainError

QUERY_KEYS = ("id", "dataset", "domain", "query", "reference", "rollouts")
ROLLOUT_KEYS = ("id", "text", "correct", "policy_version", "token_logprobs", "truncated")

Value = TypeVar("Value")


class _Fields:
    """The fields of one JSON object, refused with place, name, reason and remedy where they break the schema."""

    def __init__(self, record: Mapping[str, Any], where: str, path: str = "") -> None:
        self.record = record
        self.where = where
        self.path = path

    def error(self, key: str, problem: str, remedy: str, kind: type[DataError] = DataError) -> DataError:
        place = f"{self.where}: " if self.where else ""
        return kind(f"{place}field '{self.path}{key}': {problem}; {remedy}")

    def text(self, key: str, remedy: str, *, empty: bool) -> str:
        if key not in self.record:
            raise self.error(key, "is missing", remedy)
        value = self.record[key]
        if not isinstance(value, str):
            raise self.error(key, f"is {_shown(value)}, not a string", remedy)
        if not empty and not value.strip():
            raise self.error(key, "is empty", remedy)
        return value

    def optional(self, key: str, kind: type[Value], remedy: str) -> Value | None:
        value = self.record.get(key)
        if value is not None and not isinstance(value, kind):
            expected = "neither a string nor null" if kind is str else "none of true, false and null"
            raise self.error(key, f"is {_shown(value)}, {expected}", remedy)
        return value

    def logprobs(self) -> tuple[float, ...] | None:
        key = "token_logprobs"
        value = self.record.get(key)
        if value is None:
            return None
        remedy = "write one finite log-probability for each sampled token, or leave the key out"
        if not isinstance(value, list):
            raise self.error(key, f"is {_shown(value)}, not a list", remedy)
        for index, number in enumerate(value):
            if not _is_finite(number):
                raise self.error(f"{key}[{index}]", f"is {_shown(number)}, not a finite number", remedy)
        return tuple(float(number) for number in value)

    def others(self, known: tuple[str, ...]) -> dict[str, Any]:
        return {key: value for key, value in self.record.items() if key not in known}


def group_from_record(record: Mapping[str, Any], *, where: str = "", answer_pattern: str | None = None) -> Group:
    """Check one record, parse its rollouts (ids "<query id>/<index>" if none); DataError names `where` and field."""
    fields = _Fields(record, where)
    query = _query(fields)
    records = record.get("rollouts")
    if not isinstance(records, list):
        problem = "is missing" if "rollouts" not in record else f"is {_shown(records)}, not a list"
        raise fields.error("rollouts", problem, "write a list of objects, [] for a question without rollouts")
    rollouts: list[Rollout] = []
    correct: list[bool | None] = []
    provenance: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, entry in enumerate(records):
        if not isinstance(entry, Mapping):
            raise fields.error(f"rollouts[{index}]", f"is {_shown(entry)}, not an object", 'write {"text": ...}')
        own = _Fields(entry, where, f"rollouts[{index}].")
        rollout = _rollout(own, query, index, answer_pattern)
        if rollout.id in seen:
            raise own.error("id", f"{rollout.id!r} stands twice in this question", "give each rollout its own id")
        seen.add(rollout.id)
        rollouts.append(rollout)
        correct.append(own.optional("correct", bool, "write true, false, or null where no trustworthy label exists"))
        provenance.append(own.others(ROLLOUT_KEYS))
    reference = fields.optional(
        "reference", str, "write the answer as a string, tests as a string that holds a JSON list, or null"
    )
    if reference is not None and rules_of(query.domain).lettered:
        _refuse_foreign_reference(fields, reference, query.text)
    truth = Truth(reference, tuple(correct))
    return Group(query, tuple(rollouts), truth, fields.others(QUERY_KEYS), tuple(provenance))


def group_to_record(group: Group) -> dict[str, Any]:
    """Return the record that `group_from_record` reads back as an equal group; the sealed truth is written too."""
    count = len(group.rollouts)
    correct = group.truth.correct or (None,) * count
    provenance = group.rollout_provenance or ({},) * count
    if len(correct) != count or len(provenance) != count:
        raise DataError(
            f"query {group.query.id!r}: {count} rollouts with {len(correct)} verdicts and {len(provenance)} provenance "
            "entries; give one of each for every rollout, or none at all"
        )
    return {
        "id": group.query.id,
        "dataset": group.query.dataset,
        "domain": group.query.domain,
        "query": group.query.text,
        "reference": group.truth.reference,
        "rollouts": [
            _rollout_record(rollout, verdict, extra)
            for rollout, verdict, extra in zip(group.rollouts, correct, provenance, strict=True)
        ],
        **{key: value for key, value in group.provenance.items() if key not in QUERY_KEYS},
    }


def _refuse_foreign_reference(fields: _Fields, reference: str, query_text: str) -> None:
    """A question with options whose reference names none of them would make every rollout wrong, or none."""
    choices = options(query_text) if has_plain_options(query_text) else {}
    if choices and option_of_reference(reference, choices) is None and not letters_of(reference, choices):
        named = ", ".join(_shown(choice) for choice in choices)
        raise fields.error(
            "reference", f"{_shown(reference)} is none of the question's options", f"write one of {named}"
        )


def _query(fields: _Fields) -> Query:
    identity = fields.text("id", "give each question an id of its own, the same one in every file", empty=False)
    domain = fields.text("domain", f"write one of {', '.join(DOMAINS)}", empty=True)
    if domain not in DOMAINS:
        remedy = f"write one of {', '.join(DOMAINS)} (other: free text), or add memreward --domain FILE.py:CLASS"
        raise fields.error("domain", f"{domain!r} is unknown", remedy, UnknownDomainError)
    text = fields.text("query", "write the full question text, multiple choice with its options", empty=False)
    dataset = fields.optional("dataset", str, "name where the question is from, or leave the key out")
    return Query(identity, text, domain, dataset or "")


def _rollout(fields: _Fields, query: Query, index: int, answer_pattern: str | None) -> Rollout:
    text = fields.text("text", "write the completion as it was sampled", empty=True)
    identity = f"{query.id}/{index}"
    if fields.record.get("id") is not None:
        identity = fields.text("id", "give each rollout an id of its own, or leave the key out", empty=False)
    return parse_rollout(
        query,
        text,
        id=identity,
        policy_version=fields.optional("policy_version", str, "write the step or name as a string") or "",
        token_logprobs=fields.logprobs(),
        truncated=fields.optional("truncated", bool, "write true, false, or null where it is unknown"),
        answer_pattern=answer_pattern,
    )


def _rollout_record(rollout: Rollout, correct: bool | None, provenance: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"id": rollout.id, "text": rollout.text, "correct": correct}
    if rollout.policy_version:
        record["policy_version"] = rollout.policy_version
    if rollout.token_logprobs is not None:
        record["token_logprobs"] = list(rollout.token_logprobs)
    if rollout.truncated is not None:
        record["truncated"] = rollout.truncated
    record.update((key, value) for key, value in provenance.items() if key not in ROLLOUT_KEYS)
    return record


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        # Nested, or a number with more digits, than Python shows.
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
