"""The samples that lm-evaluation-harness logs (`--log_samples`): what was generated for each document."""

from collections.abc import Iterator, Mapping
from typing import Any

from memreward.data.containers import Entry
from memreward.data.formats.found import as_laid_out, column_in, parsed_list
from memreward.data.options import with_choices
from memreward.types import DataError


def rows(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield one row a document with all of its repeats; a second filter's line says the same again."""
    seen: set[tuple[str, str]] = set()
    for where, row in entries:
        if not isinstance(row, dict) or "resps" not in row:
            yield where, row
            continue
        key = where.rpartition(", ")[0], str(row.get("doc_id"))
        if key not in seen:
            seen.add(key)
            yield where, as_laid_out(where, row, _sample)


def _sample(where: str, row: dict[str, Any]) -> dict[str, Any] | DataError:
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
