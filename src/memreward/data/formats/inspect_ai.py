"""Logs of inspect_ai, `.eval` archives and `.json` files: each epoch of a sample is a rollout."""

from collections.abc import Iterator, Mapping
from typing import Any

from memreward.data.chat import question_of, said_by, was_truncated
from memreward.data.containers import Entry
from memreward.data.formats.found import as_laid_out
from memreward.data.options import with_choices
from memreward.types import DataError


def rows(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield one row an epoch of a sample; what a scorer says is a verdict where `Reading.correct` names it."""
    for where, row in entries:
        if isinstance(row, dict) and "samples" in row:
            samples = row["samples"] if isinstance(row["samples"], list) else [None]
            for number, sample in enumerate(samples, start=1):
                place = f"{where.rpartition(', ')[0]}, sample {number}"
                yield place, as_laid_out(place, sample, _sample)
        else:
            yield where, as_laid_out(where, row, _sample) if isinstance(row, dict) else row


def _sample(where: str, sample: Any) -> dict[str, Any] | DataError:
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
