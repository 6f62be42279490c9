"""The arms that are compared: those of `memreward train`, and some that only a comparison has a use for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from lab.valuers import Format, Random, Restrain, TraPO
from memreward.reward.valuers import Valuer
from memreward.training.config import ARMS as TRAINED
from memreward.training.config import Arm

_OURS, _PAPER = TRAINED["memreward"], TRAINED["paper"]
_COMPARED = (
    replace(_OURS, name="memreward-probability", says="ours, paying probabilities", rewards="probability"),
    replace(_OURS, name="memreward-threshold", says="ours, paying 1 from one half on", rewards="threshold"),
    replace(_PAPER, name="paper-ngrams", says="the paper's, reading with the experiment's encoder", encoder=""),
    Arm("random", "chance", "random", labels="none"),
    Arm("format", "whether an answer can be read", "format", labels="none"),
    Arm("trapo", "TraPO: the majority of questions that learn as the labelled ones do, beside the labels", "trapo"),
    Arm("restrain", "RESTRAIN: every answer as a pseudo-label, weighted by its share, beside the labels", "restrain"),
    Arm("care", "CARE: labels where they correct the majority most, the majority elsewhere", "majority"),
)


def valuers(seed: int) -> Mapping[str, Callable[[], Valuer]]:
    """What values unlabelled rollouts in arms that are none of `memreward train`'s."""
    return {"trapo": TraPO, "restrain": Restrain, "format": Format, "random": partial(Random, seed)}


ARMS = {arm.name: arm for arm in (*TRAINED.values(), *_COMPARED)}
"""By name, in the order of the tables."""
