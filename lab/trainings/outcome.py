"""What one training of an experiment came to, as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from memreward.temporary import write_whole
from memreward.types import StoreError

TEST, FOREIGN = "test", "foreign"
"""Held-out questions of the kinds that were trained on, and questions of other kinds."""


@dataclass(frozen=True)
class TrainingOutcome:
    """One arm, trained once.

    Attributes:
        arm: Its name; "start" is the policy before training.
        labels: Share of the training questions that were labelled; 0 for arms without labels, 1 for all.
        seed: Of the draw of labels, of sampling and of the order of the questions.
        accuracy: By part, `TEST` and `FOREIGN`, and by query id: mean over the sampled answers of the trained policy.
        domains: Domain of each query id in `accuracy`.
        curve: Accuracy in training, oldest first: {"step": s, "test": {domain: mean}, "foreign": {domain: mean}}.
        steps: What was logged, oldest first: "step", "reward" (mean), "reward_accuracy", "group_auc" and
            "advantage_cosine" of the rewards against ground truth on all rollouts of the step (the ledger does not
            count these: they are looked at after training), and of the reward's own log "truth", "predicted",
            "abstained", "live_cosine", "live_cosine_vote", "seconds" and the like, and what the ledger had released by
            then, "labelled_queries" and "judgements". What was not defined is None or absent.
        ledger: Totals by use.
        seconds: Time that training took.
    """

    arm: str
    labels: float
    seed: int
    accuracy: Mapping[str, Mapping[str, float]]
    domains: Mapping[str, str]
    curve: Sequence[Mapping[str, Any]] = ()
    steps: Sequence[Mapping[str, Any]] = ()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write as JSON; the file is whole or absent."""
        write_whole(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            StoreError: it is not readable.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{path} cannot be read ({error!r}): delete it, and its training is run again") from error
