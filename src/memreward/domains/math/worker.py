"""The process in which math-verify works. Run as a script by `process`, for values, and by `verify`, for verdicts.

Reads one JSON value a line, and writes one. An expression in LaTeX gives null where it has no value, else {"symbols":
[...], "values": [[re, im], ...]} with decimal strings, one value for a constant, else one a sample point. A question
{"answer", "reference", "query", "limit"} gives {"correct", "reason"}. math-verify's own time-out obeys
neither threads nor long C computations; the parent kills the process, and a CPU-time alarm ends most before.
"""

import logging
import signal
from typing import Any

from memreward.domains.math.algebra import DIGITS, POINTS, sample_point
from memreward.domains.math.library import by_library, parsed
from memreward.domains.math.process import evaluate_here
from memreward.domains.math.rules import compare
from memreward.domains.shared.serving import serve

CPU_SECONDS = 1.0
MEMORY_BYTES = 4 << 30
_SHARE_OF_LIMIT = 0.9


class TooLong(BaseException):
    """Raised by the CPU-time alarm; a BaseException so that no library swallows it."""


def limit_process() -> None:
    """Bound memory and arm the alarm where the platform can; elsewhere the parent's kill is the only limit."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def stop(_signal: int, _frame: object) -> None:
        raise TooLong

    signal.signal(signal.SIGPROF, stop)


def arm(seconds: float) -> None:
    """Let `TooLong` be raised after so many seconds of CPU time; 0 disarms."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def evaluate(expression: str) -> dict[str, Any] | None:
    """Return symbols and values of a LaTeX expression, or None where it parses to none that has values."""
    import sympy

    found = parsed(expression)
    if not found or not isinstance(found[0], sympy.Expr):
        return None
    formula = found[0].subs({symbol: sympy.I for symbol in found[0].free_symbols if str(symbol) == "i"})
    if formula.atoms(sympy.core.function.AppliedUndef):
        return None
    symbols = sorted(formula.free_symbols, key=str)
    values = []
    for point in range(POINTS if symbols else 1):
        # Floats: sympy looks for roots of a fraction that is raised to a fraction, and does not come back far out.
        chosen = {symbol: sample_point(str(symbol), point) for symbol in symbols}
        substitution = {
            symbol: sympy.Float(value.numerator, 2 * DIGITS) / sympy.Float(value.denominator, 2 * DIGITS)
            for symbol, value in chosen.items()
        }
        parts = [part.evalf(DIGITS) for part in formula.subs(substitution).evalf(DIGITS).as_real_imag()]
        if not all(part.is_Number and part.is_finite for part in parts):
            return None
        values.append([str(part) for part in parts])
    return {"symbols": [str(symbol) for symbol in symbols], "values": values}


def value(expression: str) -> dict[str, Any] | None:
    """Return what `evaluate` does; None where the library fails on the expression."""
    try:
        return evaluate(expression)
    except MemoryError:
        raise
    except Exception:  # sympy and antlr raise anything on nonsense; nonsense has no value
        return None


def judge(question: dict[str, Any]) -> dict[str, Any]:
    """Compare under a limit on CPU time; a failure of any kind is undecided, with its name as the reason."""
    correct: bool | None = None
    try:
        # A little less than the wall clock's limit: what ends by itself need not be started anew.
        arm(_SHARE_OF_LIMIT * question["limit"])
        found = compare(question["answer"], question["reference"], question["query"])
        correct, reason = found.correct, found.reason
    except TooLong:
        reason = f"not decided within {question['limit']:g} s"
    except Exception as error:  # the rules must not turn any failure of theirs into a verdict
        reason = f"the comparison failed ({type(error).__name__}: {str(error)[:200]})"
    finally:
        arm(0)
    return {"correct": correct, "reason": reason}


def answer(asked: Any) -> dict[str, Any] | None:
    """Return the verdict on a question, or the values of an expression, for which there is little time."""
    if isinstance(asked, dict):
        return judge(asked)
    try:
        arm(CPU_SECONDS)
        return value(asked)
    except (TooLong, MemoryError):
        return None
    finally:
        arm(0)


def prepare() -> None:
    """Load what is needed, then bound the process."""
    logging.disable(logging.CRITICAL)
    evaluate_here(value)
    evaluate("1+\\frac{x}{2}")
    by_library("x+1", "1+x")
    limit_process()


if __name__ == "__main__":
    serve(answer, prepare)
