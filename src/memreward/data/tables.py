"""Tables of results, written in the format that a file's name ends on: CSV, Parquet or JSON Lines."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from memreward.data.containers import parquet
from memreward.data.files import format_of
from memreward.temporary import replacing
from memreward.types import ConfigurationError
from memreward.unicode import escape_surrogates

ENDS = (".csv", ".parquet", ".jsonl", "")


def check_table(path: Path) -> None:
    """Refuse a name that says no format; one without an end is JSON Lines."""
    if path.suffix not in ENDS:
        raise ConfigurationError(f"{path}: the name ends on no known format; use one of .csv, .parquet, .jsonl")
    if path.suffix == ".parquet":
        format_of(path)


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]) -> None:
    """Write rows to a file, whole or not at all; `kinds` by column are "text", "whole", "real" or "flag"."""
    with replacing(path) as unfinished:
        if path.suffix == ".parquet":
            parquet().write_rows(unfinished, map(_escaped, rows), kinds)
        elif path.suffix == ".csv":
            with unfinished.open("w", encoding="utf-8", newline="", errors="replace") as file:
                writer = csv.DictWriter(file, list(kinds))
                writer.writeheader()
                writer.writerows(map(_short, rows))
        else:
            with unfinished.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(dict(row), ensure_ascii=True, allow_nan=False) + "\n" for row in rows)


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}


def _escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: escape_surrogates(value) if isinstance(value, str) else value for key, value in row.items()}
