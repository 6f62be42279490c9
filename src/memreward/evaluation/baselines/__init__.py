"""What others do, behind the same interface: rows of every comparison, one file each.

Every learned one is a `RolloutScorer` inside `CrossFitted`, so all get the same folds, the same calibration and the
same way to choose their threshold, from the same labels.

| name | what it is | reads |
|---|---|---|
| `majority` | share of the query's pool that agrees with the answer | no label |
| `majority_hard` | 1 for the most frequent answer, 0 for all others | no label |
| `label_model` | signals as labelling functions, weighed by EM | no label |
| `confidence` | the vote, each rollout weighed by the probability of its tokens | no label |
| `entropy` | the vote, believed less where the answers of a question scatter | no label |
| `majority_calibrated` | the vote through Platt's sigmoid | labels |
| `logistic_evidence` | logistic regression on the evidence | labels |
| `logistic` | logistic regression on evidence and text vectors | labels, text |
| `mlp` | one hidden layer on evidence and text vectors | labels, text |
| `neighbours` | labels of the rollouts with the nearest text vectors | labels, text |
| `random` | a number drawn from the rollout's id | labels |

Beside them stand `judge`, a column of verdicts (`JudgeColumn`), and the paper's network (`memreward.network`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from memreward.evaluation.baselines.chance import RandomScorer
from memreward.evaluation.baselines.confidence import ConfidenceVote
from memreward.evaluation.baselines.crossfit import CrossFitted, RolloutScorer, Unlearned, as_prediction
from memreward.evaluation.baselines.entropy import entropy
from memreward.evaluation.baselines.judge import JudgeColumn
from memreward.evaluation.baselines.label_model import LabelModel
from memreward.evaluation.baselines.learned import LogisticScorer, NeighbourScorer, PerceptronScorer
from memreward.evaluation.baselines.majority import VoteScorer, majority, majority_hard
from memreward.types import Predictor

__all__ = [
    "BASELINES",
    "FITTED",
    "READ_TEXT",
    "CrossFitted",
    "JudgeColumn",
    "LabelModel",
    "RandomScorer",
    "RolloutScorer",
    "as_prediction",
]


def _unsupervised(make: Callable[[], Predictor], seed: int) -> Predictor:  # noqa: ARG001  a factory takes a seed
    return make()


def _learned(name: str, scorer: Callable[..., RolloutScorer], seed: int) -> Predictor:
    return CrossFitted(name, scorer, seed=seed)


def _drawn(name: str, scorer: Callable[[int], RolloutScorer], seed: int) -> Predictor:
    return CrossFitted(name, partial(scorer, seed), seed=seed)


FITTED = frozenset({"logistic_evidence", "logistic", "mlp"})
"""Baselines that scikit-learn fits."""

READ_TEXT = frozenset({"logistic", "mlp", "neighbours"})
"""Baselines that read text vectors, and hence need an encoder."""

BASELINES: Mapping[str, Callable[[int], Predictor]] = MappingProxyType(
    {
        "majority": partial(_unsupervised, partial(Unlearned, "majority", majority)),
        "majority_hard": partial(_unsupervised, partial(Unlearned, "majority_hard", majority_hard)),
        "label_model": partial(_unsupervised, LabelModel),
        "confidence": partial(_unsupervised, ConfidenceVote),
        "entropy": partial(_unsupervised, partial(Unlearned, "entropy", entropy)),
        "majority_calibrated": partial(_learned, "majority_calibrated", VoteScorer),
        "logistic_evidence": partial(_learned, "logistic_evidence", partial(LogisticScorer, text=False)),
        "logistic": partial(_learned, "logistic", partial(LogisticScorer, text=True)),
        "mlp": partial(_drawn, "mlp", PerceptronScorer),
        "neighbours": partial(_learned, "neighbours", NeighbourScorer),
        "random": partial(_drawn, "random", RandomScorer),
    }
)
"""Name -> factory that takes a seed."""
