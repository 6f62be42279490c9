"""Logistic regression on evidence with an in-group ranking term: the part of the prediction that needs no graph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from memreward.network.build import pairs_within


def ranking_pairs(group: Tensor, label: Tensor) -> Tensor:
    """All (right, wrong) pairs of rollouts inside a group.

    Args:
        group: (n,) group of each rollout.
        label: (n,) 1 right, 0 wrong, anything else unknown.

    Returns:
        (2, p) positions, the right one first.
    """
    pairs = torch.from_numpy(pairs_within(group.numpy()))
    return pairs[:, (label[pairs[0]] == 1) & (label[pairs[1]] == 0)]


def reward_loss(logits: Tensor, label: Tensor, known: Tensor, pairs: Tensor, rank_weight: float) -> Tensor:
    """Binary cross-entropy over known labels, plus `rank_weight` times the mean logistic loss of in-group pairs.

    loss = mean BCE(logit_i, y_i) + rank_weight * mean over pairs (r, w) of log(1 + exp(logit_w - logit_r))
    """
    loss = binary_cross_entropy_with_logits(logits[known], label[known].to(logits.dtype))
    if rank_weight and pairs.shape[1]:
        loss = loss + rank_weight * softplus(logits[pairs[1]] - logits[pairs[0]]).mean()
    return loss


class LinearModel:
    """A convex model: w minimises `reward_loss` + l2 sum_j penalty_j (w_j - prior_j)^2 / (2 n); the intercept is free.

    Attributes:
        weight: (e,).
        bias: Scalar.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    @classmethod
    def fit(
        cls,
        evidence: Tensor,
        group: Tensor,
        label: Tensor,
        *,
        l2: float,
        rank_weight: float,
        penalty: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> LinearModel:
        """Fit on (n, e) standardised evidence and (n,) labels, 1 right, 0 wrong, others unknown.

        `penalty` (e,) scales the ridge penalty by column; a column with 0 is what the model falls back to as l2 grows.
        `prior` (e,) is what the penalty draws the weights to; None is 0.
        """
        known = (label == 0) | (label == 1)
        pairs = ranking_pairs(group, label)
        expected = torch.zeros(evidence.shape[1]) if prior is None else prior
        weight = expected.double().clone().requires_grad_()
        bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
        columns = evidence.double()
        scale = torch.ones(evidence.shape[1]) if penalty is None else penalty
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = reward_loss(columns @ weight + bias, label, known, pairs, rank_weight)
            loss = loss + l2 * (scale * (weight - expected).square()).sum() / (2 * known.sum())
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        return cls(weight.detach().float(), bias.detach().float())

    def __call__(self, evidence: Tensor) -> Tensor:
        """Return (n,) logits."""
        return evidence @ self.weight + self.bias
