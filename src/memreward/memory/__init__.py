"""Experience memory: what was sampled, its vectors, and the ledger of the labels that were paid for."""

from typing import TYPE_CHECKING, Any

from memreward.memory.ledger import Budget, LabelLedger, LedgerEntry

if TYPE_CHECKING:
    from memreward.memory.store import AddReport, ExperienceMemory

__all__ = ["AddReport", "Budget", "ExperienceMemory", "LabelLedger", "LedgerEntry"]


def __getattr__(name: str) -> Any:
    # The store needs LanceDB, which takes seconds to import; the ledger and its budget do not.
    if name in ("AddReport", "ExperienceMemory"):
        from memreward.memory import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
