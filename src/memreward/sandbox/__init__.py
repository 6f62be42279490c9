"""Runs Python that a model wrote, contained."""

from memreward.sandbox.limits import Containment, Execution, Limits
from memreward.sandbox.sandbox import Sandbox, Trial, available_containment

__all__ = ["Containment", "Execution", "Limits", "Sandbox", "Trial", "available_containment"]
