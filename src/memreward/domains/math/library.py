"""What math-verify reads, and which answers it takes for equal; it has no time limit of its own that holds."""

from functools import lru_cache
from typing import Any

from memreward.domains.math.form import normal_form


@lru_cache(maxsize=4096)
def parsed(form: str) -> tuple[Any, ...]:
    """Return what math-verify reads in LaTeX."""
    from math_verify import LatexExtractionConfig, parse

    extraction = [LatexExtractionConfig()]
    return tuple(parse(f"${form}$", extraction_config=extraction, fallback_mode="no_fallback", parsing_timeout=None))


def by_library(reference: str, answer: str) -> tuple[bool, bool, bool]:
    """Let math-verify compare; returns whether it can read reference and answer, and whether they are equal."""
    from math_verify import verify

    wanted, given = parsed(normal_form(reference)), parsed(normal_form(answer))
    if not wanted or not given:
        return bool(wanted), bool(given), False
    equal = verify(list(wanted), list(given), allow_set_relation_comp=True, timeout_seconds=None)
    return True, True, bool(equal)
