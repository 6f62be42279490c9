"""A whole program: standard input in, standard output out."""

import atexit
import os
import sys
import threading
import traceback

from .foreign import module_named, run_in


def run(source: str) -> None:
    """Run `source` as `__main__` and end the process as the interpreter would."""
    code = 0
    try:
        run_in(module_named("__main__").__dict__, source, "program.py")
        threading._shutdown()  # type: ignore[attr-defined]
    except SystemExit as leaving:
        code = _exit_code(leaving.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            code = code or 120
    os._exit(code)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1
