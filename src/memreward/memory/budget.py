"""How much ground truth may be consumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from memreward.data.draw import Count, count_from, count_of
from memreward.types import BudgetError, ConfigurationError


@dataclass(frozen=True, slots=True)
class Budget:
    """How much ground truth may be consumed, over the whole ledger; None does not limit.

    Attributes:
        share: Share of the queries with any ground truth, in (0, 1], rounded down to at least one; 1.0 is all of them.
        queries: Distinct labelled queries; 0 allows none.
        judgements: Verdicts and references; 0 allows none.

    Raises ConfigurationError where nothing is limited, queries are limited twice, or a value is out of its range.
    """

    share: float | None = None
    queries: int | None = None
    judgements: int | None = None

    def __post_init__(self) -> None:
        if self.share is None and self.queries is None and self.judgements is None:
            raise ConfigurationError("a budget must limit something, e.g. Budget(share=0.2) or Budget(queries=20)")
        if self.share is not None and self.queries is not None:
            raise ConfigurationError("give a share of the queries or a number of them, not both")
        if self.share is not None and not _is(self.share, Real, lambda share: 0 < share <= 1):
            raise ConfigurationError(f"budget share={self.share!r}: give a number above 0 and at most 1")
        for unit in ("queries", "judgements"):
            value = getattr(self, unit)
            if value is not None and not _is(value, Integral, lambda count: count >= 0):
                hint = "a share is Budget(share=0.2)" if unit == "queries" else "shares are of queries"
                raise ConfigurationError(f"budget {unit}={value!r}: give a whole number of at least 0; {hint}")

    @classmethod
    def of(cls, labels: Count | str) -> Budget:
        """Read a label budget in queries: "20%" and "0.2" (0.2) are a share, "200" (200) a number; "all"."""
        count = count_from(labels)
        if count == "all":
            return cls(share=1.0)
        return cls(queries=count) if isinstance(count, int) else cls(share=count)

    def limits(self, queries: int) -> tuple[int | None, int | None]:
        """Return the most queries and judgements allowed where `queries` queries have ground truth."""
        if self.share is None:
            return self.queries, self.judgements
        return queries if self.share == 1 else count_of(float(self.share), queries), self.judgements

    def enforce(self, queries: int, spent: tuple[int, int], asked: tuple[int, int]) -> None:
        for unit, before, more, limit in zip(
            ("queries", "judgements"), spent, asked, self.limits(queries), strict=True
        ):
            if more and limit is not None and before + more > limit:
                raise BudgetError(
                    f"label budget: {before} {unit} are spent, {more} more were asked for, {limit} are allowed; "
                    f"ask for at most {max(0, limit - before)} or raise the budget"
                )


def _is(value: Any, kind: type, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and holds(value)
