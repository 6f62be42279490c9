"""What evaluations and trainers log of their rollouts, as rows of a table."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from memreward.data.chat import question_of, said_by, was_truncated
from memreward.data.containers import Entry
from memreward.data.formats.found import as_laid_out, column_in, parsed_list
from memreward.data.options import with_choices
from memreward.types import DataError

_TURN = re.compile(r"(?:\A|\n)user\n(.*?)\n?assistant\s*(?:<think>\s*)?\Z", re.DOTALL)
"""The turns of a chat from the first of the user's on, whose special tokens verl left out in decoding."""


def inspect_ai(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield a row an epoch of an inspect_ai sample; what a scorer says is a verdict where `Reading.correct` says so."""
    for where, row in entries:
        if isinstance(row, dict) and "samples" in row:
            samples = row["samples"] if isinstance(row["samples"], list) else [None]
            for number, sample in enumerate(samples, start=1):
                place = f"{where.rpartition(', ')[0]}, sample {number}"
                yield place, as_laid_out(place, sample, _epoch)
        else:
            yield where, as_laid_out(where, row, _epoch) if isinstance(row, dict) else row


def _epoch(where: str, sample: Any) -> dict[str, Any] | DataError:
    if not isinstance(sample, Mapping) or not isinstance(sample.get("output"), Mapping):
        return DataError(f"{where}: a sample without output; run it again, or leave it out: --skip-bad")
    choices = sample["output"].get("choices") or []
    if sample.get("error") or not choices:
        return DataError(f"{where}: the sample failed; run it again, or leave it out: --skip-bad")
    try:
        asked = question_of(sample.get("input"))
    except DataError as error:
        return DataError(f"{where}: field 'input': {error}")
    question, target = with_choices(asked, sample.get("choices"), sample.get("target"))
    truncated, scores = was_truncated(choices[0].get("stop_reason")), sample.get("scores")
    return {
        "question": question,
        "completion": said_by(choices[0].get("message", {}), truncated),
        "target": target,
        "truncated": truncated,
        "sample": sample.get("id"),
        "epoch": sample.get("epoch"),
        **(scores if isinstance(scores, Mapping) else {}),
    }


def lm_eval(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield one row a document of lm-evaluation-harness (`--log_samples`), with all of its repeats.

    A second filter's line says the same again.
    """
    seen: set[tuple[str, str]] = set()
    for where, row in entries:
        if not isinstance(row, dict) or "resps" not in row:
            yield where, row
            continue
        key = where.rpartition(", ")[0], str(row.get("doc_id"))
        if key not in seen:
            seen.add(key)
            yield where, as_laid_out(where, row, _document)


def _document(where: str, row: dict[str, Any]) -> dict[str, Any] | DataError:
    completions = [text for each in row["resps"] for text in (each if isinstance(each, list) else [each])]
    if not all(isinstance(text, str) for text in completions):
        return DataError(
            f"{where}: field 'resps': holds log-likelihoods, no text; give the samples of a task that generates"
        )
    doc = row["doc"] if isinstance(row["doc"], Mapping) else {}
    column = column_in(doc, "question")
    question = doc[column] if column else _prompt(row.get("arguments"))
    question, target = with_choices(question, doc.get("choices", doc.get("options")), row.get("target"))
    # Of several repeats a filter chooses, and nothing says which: their metric is nobody's verdict.
    metrics = {name: row[name] for name in row.get("metrics", []) if name in row}
    kept = {"doc": doc, "doc_id": row["doc_id"], "target": target}
    return {**kept, **metrics, "question": question, "completions": completions}


def _prompt(arguments: Any) -> Any:
    """The prompt, with its few shots: what the model was asked where the document has no question of its own."""
    first = next(iter(arguments.values()), None) if isinstance(arguments, Mapping) else parsed_list(arguments)
    if isinstance(first, list):
        first = first[0] if first else None
        return first[0] if isinstance(first, list) and first else first
    return first.get("arg_0") if isinstance(first, Mapping) else None


def trainers(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield the rows of verl's dumps or TRL's logs, a completion each.

    Their step is the policy's version, and the prompt what the user said last.
    """
    for where, row in entries:
        if not isinstance(row, dict):
            yield where, row
            continue
        prompts = {name: _last_turn(row[name]) for name in ("input", "prompt") if isinstance(row.get(name), str)}
        step = {} if row.get("step") is None else {"policy_version": f"step-{row['step']}"}
        yield where, {key: value for key, value in row.items() if key != "step"} | step | prompts


def _last_turn(prompt: str) -> str:
    turns = _TURN.search(prompt)
    last = turns[1].rpartition("\nuser\n")[2] if turns else ""
    return last if last.strip() else prompt
