"""Evidence: signals about rollouts that need no label (method, section 4)."""

from memreward.features.evidence.compute import Evidence, compute_evidence

__all__ = ["Evidence", "compute_evidence"]
