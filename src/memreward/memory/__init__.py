"""Experience memory: what was sampled, and the ledger of the labels that were paid for."""

from memreward.memory.budget import Budget
from memreward.memory.entries import LedgerEntry
from memreward.memory.label import (
    FROM_FILE,
    NOBODY,
    FromFile,
    Judge,
    Judgement,
    Labelled,
    Told,
    label,
    measured,
    seal_verdicts,
    sealed_verdicts,
)
from memreward.memory.ledger import LabelLedger
from memreward.memory.merge import AddReport
from memreward.memory.store import ExperienceMemory

__all__ = [
    "FROM_FILE",
    "NOBODY",
    "AddReport",
    "Budget",
    "ExperienceMemory",
    "FromFile",
    "Judge",
    "Judgement",
    "LabelLedger",
    "Labelled",
    "LedgerEntry",
    "Told",
    "label",
    "measured",
    "seal_verdicts",
    "sealed_verdicts",
]
