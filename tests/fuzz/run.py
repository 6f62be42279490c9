"""Look for a text on which the parsers fail, guided by coverage, until interrupted: `make fuzz`.

Options and a folder for the corpus are libFuzzer's. Keep what it finds, as small as it gets, in `test_kept.py`.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["memreward.domains"]):
    from parser_checks import check_bytes

    from memreward.domains.math import process as math_process


def main() -> None:
    # Without math-verify's process: its library is not what is looked at, and takes a thousand times as long.
    math_process.evaluate_here(lambda expression: None)
    atheris.Setup(sys.argv, check_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
