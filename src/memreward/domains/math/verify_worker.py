"""The process in which mathematical answers are judged. Run as a script by `verify.math`.

Reads {"answer", "reference", "query", "limit"} and writes {"correct", "reason", "seconds"}. Whatever the rules or
math-verify do, hang, crash or fill the memory, happens here: the parent kills the process at the limit.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Any

from memreward.domains.math.form import normal_form
from memreward.domains.math.process import evaluate_here
from memreward.domains.math.rules import compare
from memreward.domains.math.worker import TooLong, arm, evaluate, limit_process
from memreward.domains.shared.worker import serve

_SHARE_OF_LIMIT = 0.9


def by_library(reference: str, answer: str) -> tuple[bool, bool, bool]:
    """Let math-verify compare; returns whether it can read reference and answer, and whether they are equal."""
    from math_verify import verify

    wanted, given = _parsed(reference), _parsed(answer)
    if not wanted or not given:
        return bool(wanted), bool(given), False
    equal = verify(list(wanted), list(given), allow_set_relation_comp=True, timeout_seconds=None)
    return True, True, bool(equal)


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> tuple[Any, ...]:
    from math_verify import LatexExtractionConfig, parse

    form = normal_form(expression)
    extraction = [LatexExtractionConfig()]
    return tuple(parse(f"${form}$", extraction_config=extraction, fallback_mode="no_fallback", parsing_timeout=None))


def judge(question: dict[str, Any]) -> dict[str, Any]:
    """Compare under a limit on CPU time; a failure of any kind is undecided, with its name as the reason."""
    start = time.perf_counter()
    correct: bool | None = None
    try:
        # A little less than the wall clock's limit: what ends by itself need not be started anew.
        arm(_SHARE_OF_LIMIT * question["limit"])
        found = compare(question["answer"], question["reference"], question["query"], by_library)
        correct, reason = found.correct, found.rule
    except TooLong:
        reason = f"not decided within {question['limit']:g} s"
    except Exception as error:  # the rules must not turn any failure of theirs into a verdict
        reason = f"the comparison failed ({type(error).__name__}: {str(error)[:200]})"
    finally:
        arm(0)
    return {"correct": correct, "reason": reason, "seconds": time.perf_counter() - start}


def _value(expression: str) -> dict[str, Any] | None:
    try:
        return evaluate(expression)
    except MemoryError:
        raise
    except Exception:  # sympy and antlr raise anything on nonsense; nonsense has no value
        return None


def prepare() -> None:
    """Load what judging needs, then bound the process."""
    logging.disable(logging.CRITICAL)
    evaluate_here(_value)
    by_library("x+1", "1+x")
    limit_process()


if __name__ == "__main__":
    serve(judge, prepare)
