"""Values of mathematical expressions through math-verify's parser, in a process of its own. Run as a script.

Reads one JSON string a line: an expression in LaTeX. Writes one JSON line each: null where it has no value, else
{"symbols": [...], "values": [[re, im], ...]} with decimal strings, one value for a constant, else one a sample point.
math-verify's own time-out is `signal.alarm`, which neither threads nor long C computations obey; here the parent
kills the process instead, and a CPU-time alarm ends most runaways without that.
"""

from __future__ import annotations

import logging
import signal
from fractions import Fraction
from typing import Any

from memreward.domains.math.algebra import DIGITS, POINTS, sample_point
from memreward.domains.shared.worker import serve

CPU_SECONDS = 1.0
MEMORY_BYTES = 4 << 30


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


def _pair(value: Any) -> list[str] | None:
    real, imaginary = value.as_real_imag()
    parts = [real.evalf(DIGITS), imaginary.evalf(DIGITS)]
    if not all(part.is_Number and part.is_finite for part in parts):
        return None
    return [str(part) for part in parts]


def _float(value: Fraction) -> Any:
    import sympy

    return sympy.Float(value.numerator, 2 * DIGITS) / sympy.Float(value.denominator, 2 * DIGITS)


def evaluate(expression: str) -> dict[str, Any] | None:
    """Return symbols and values of a LaTeX expression, or None where it parses to none that has values."""
    import sympy
    from math_verify import LatexExtractionConfig, parse

    parsed = parse(
        f"${expression}$",
        extraction_config=[LatexExtractionConfig()],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    if not parsed or not isinstance(parsed[0], sympy.Expr):
        return None
    formula = parsed[0].subs({symbol: sympy.I for symbol in parsed[0].free_symbols if str(symbol) == "i"})
    if formula.atoms(sympy.core.function.AppliedUndef):
        return None
    symbols = sorted(formula.free_symbols, key=str)
    names = [str(symbol) for symbol in symbols]
    values = []
    for point in range(POINTS if symbols else 1):
        # Floats: sympy looks for roots of a fraction that is raised to a fraction, and does not come back far out.
        substitution = {symbol: _float(sample_point(str(symbol), point)) for symbol in symbols}
        pair = _pair(formula.subs(substitution).evalf(DIGITS))
        if pair is None:
            return None
        values.append(pair)
    return {"symbols": names, "values": values}


def answer(expression: str) -> dict[str, Any] | None:
    """`evaluate` under the CPU limit; None also where the library fails on the expression or time runs out."""
    try:
        arm(CPU_SECONDS)
        return evaluate(expression)
    except TooLong:
        return None
    except Exception:  # sympy and antlr raise anything on nonsense; nonsense has no value
        return None
    finally:
        arm(0)


def prepare() -> None:
    """Load what evaluation needs, then bound the process."""
    logging.disable(logging.CRITICAL)
    evaluate("1+\\frac{x}{2}")
    limit_process()


if __name__ == "__main__":
    serve(answer, prepare)
