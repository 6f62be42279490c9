"""The arms that are compared: those of `memreward train`, and some that only a comparison has a use for."""

from __future__ import annotations

from dataclasses import replace

from memreward.training.arms import ARMS as TRAINED
from memreward.training.arms import Arm

_OURS, _PAPER = TRAINED["memreward"], TRAINED["paper"]
_COMPARED = (
    replace(_OURS, name="memreward-probability", says="ours, paying probabilities", rewards="probability"),
    replace(_OURS, name="memreward-threshold", says="ours, paying 1 from one half on", rewards="threshold"),
    replace(_PAPER, name="paper-ngrams", says="the paper's, reading with the experiment's encoder", encoder=""),
    Arm("random", "chance", "random", labels="none"),
    Arm("format", "whether an answer can be read", "format", labels="none"),
)

ARMS = {arm.name: arm for arm in (*TRAINED.values(), *_COMPARED)}
"""By name, in the order of the tables."""
