"""Self-consistency with entropy: the vote, believed less where the question's answers scatter.

Semantic entropy (Farquhar et al., Nature 630, 2024; arXiv 2302.09664) over the classes of equivalent answers says how
sure the policy is of a question. Divided by its maximum, ln of the number of rollouts, it moves each answer's share
towards that of an answer drawn at random among those there are.
"""

import numpy as np

from memreward.evaluation.baselines.crossfit import Floats
from memreward.features.subset import vote_share
from memreward.types import Features


def entropy(features: Features) -> Floats:
    """Return (n,) (1 - h) share + h / k, of k distinct answers with normalised entropy h."""
    share = vote_share(features).astype(np.float64)
    given, group, questions = features.cluster >= 0, features.group, len(features.query_ids)
    size = np.bincount(group, minlength=questions)
    # The mean of -ln(share) over rollouts is the entropy of the answers.
    surprise = np.where(given, -np.log(np.where(given, share, 1.0)), np.log(size)[group])
    mean = np.bincount(group, surprise, questions) / np.maximum(size, 1)
    scatter = np.clip(mean / np.log(np.maximum(size, 2)), 0.0, 1.0)[group]
    pairs = np.unique(np.stack([group, features.cluster], axis=1)[given], axis=0)
    distinct = np.maximum(np.bincount(pairs[:, 0], minlength=questions), 1)[group]
    return np.where(given, (1 - scatter) * share + scatter / distinct, 0.0)
