"""A table whose rows one test tries: what a test costs beside its body is paid once, and not once a row."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Test = Callable[..., None]


def each_row(names: str | tuple[str, ...], table: Iterable[Any]) -> Callable[[Test], Test]:
    """Try a test with every row, in random order, and name all those with which it fails; else `parametrize`.

    Each row has a `tmp_path` of its own; other fixtures are made once for all rows, and so may not be changed by one.
    """
    of_row = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else names
    rows = [row if len(of_row) > 1 else (row,) for row in table]

    def over(test: Test) -> Test:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def tried(**fixtures: Any) -> None:
            failed: list[str] = []
            first: BaseException | None = None
            for number in random.sample(range(len(rows)), len(rows)):
                given = {**fixtures, **dict(zip(of_row, rows[number], strict=True))}
                if "tmp_path" in fixtures:
                    given["tmp_path"] = fixtures["tmp_path"] / str(number)
                    given["tmp_path"].mkdir()
                try:
                    test(**given)
                except (Exception, pytest.fail.Exception) as error:
                    first = first or error
                    failed.append(f"row {number}, {str(rows[number])[:300]}: {type(error).__name__}: {error}")
            if failed:
                raise AssertionError(f"{len(failed)} of {len(rows)} rows fail\n" + "\n".join(failed)) from first

        left = [parameter for name, parameter in signature.parameters.items() if name not in of_row]
        tried.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return tried

    return over
