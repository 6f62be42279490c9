"""Look for bytes on which reading fails, guided by coverage, until interrupted: `make fuzz`.

    python tests/fuzz/run.py parsers|files|protocol [OPTION ...] CORPUS

Options and a folder for the corpus are libFuzzer's. Keep what it finds, as small as it gets, in `test_kept.py`.
"""

from __future__ import annotations

import importlib
import sys

import atheris

WATCHED = {"parsers": "memreward.domains", "files": "memreward.data", "protocol": "memreward.sandbox"}
CHECKS = {"parsers": "parser_checks", "files": "file_checks", "protocol": "protocol_checks"}


def main() -> None:
    target = sys.argv.pop(1)
    with atheris.instrument_imports(include=[WATCHED[target]]):
        check_bytes = importlib.import_module(CHECKS[target]).check_bytes
        from memreward.domains.math import process
    # Without math-verify's process: its library is not what is looked at, and takes a thousand times as long.
    process.evaluate_here(lambda expression: None)
    atheris.Setup(sys.argv, check_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
