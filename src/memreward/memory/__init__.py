"""Experience memory: what was sampled, its vectors, and the ledger of the labels that were paid for."""

from memreward.memory.ledger import Budget, LabelLedger, LedgerEntry
from memreward.memory.store import AddReport, ExperienceMemory

__all__ = ["AddReport", "Budget", "ExperienceMemory", "LabelLedger", "LedgerEntry"]
