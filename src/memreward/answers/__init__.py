"""The answer model: right is a property of an answer, not of a rollout.

A question's rollouts are merged into its distinct answers (`table`). Each answer gets a probability of being right
from a conditional logit (`likelihood`) whose weights start at what other sources taught (`prior`), move with the few
labels there are (`posterior`), and are averaged with majority vote (`model`). What a trainer is paid is the expected
advantage under these probabilities (`advantage`), and what it leaves uncertain says what to label next (`choose`).
numpy only.
"""

from memreward.answers.advantage import expected_advantages
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior, SourceCard, fit_prior
from memreward.answers.table import AnswerTable

__all__ = [
    "AnswerModel",
    "AnswerTable",
    "RewardPrior",
    "SourceCard",
    "expected_advantages",
    "fit_prior",
]
