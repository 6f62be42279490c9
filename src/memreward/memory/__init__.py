"""Experience memory: what was sampled, and the ledger of the labels that were paid for."""

from memreward.memory.ledger import Budget, LabelLedger, LedgerEntry
from memreward.memory.merge import AddReport
from memreward.memory.store import ExperienceMemory

__all__ = ["AddReport", "Budget", "ExperienceMemory", "LabelLedger", "LedgerEntry"]
