from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from memreward.network.linear import LinearModel, ranking_pairs, reward_loss


def data(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    evidence = torch.randn(120, 5, generator=generator)
    label = (evidence[:, 0] + torch.randn(120, generator=generator) > 0).long()
    return evidence, torch.arange(120) // 6, label


@pytest.mark.parametrize("l2", [0.3, 10.0])
def test_without_ranking_it_is_ridge_logistic_regression(l2: float) -> None:
    evidence, group, label = data()
    ours = LinearModel.fit(evidence, group, label, l2=l2, rank_weight=0.0)
    # In float64: with float32 scikit-learn stops where its processor's rounding lets it, 2.5e-4 away on some.
    theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=1000).fit(evidence.double().numpy(), label.numpy())
    assert ours.weight.numpy() == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert float(ours.bias) == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_unknown_labels_are_left_out() -> None:
    evidence, group, label = data()
    hidden = label.clone()
    hidden[::3] = 2
    kept = hidden != 2
    with_unknown = LinearModel.fit(evidence, group, hidden, l2=1.0, rank_weight=0.5)
    without = LinearModel.fit(evidence[kept], group[kept], label[kept], l2=1.0, rank_weight=0.5)
    assert torch.allclose(with_unknown.weight, without.weight, atol=1e-4)


def test_pairs_are_every_right_and_wrong_rollout_of_a_group() -> None:
    group, label = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([1, 0, 0, 1, 2, 0])
    assert {tuple(p) for p in ranking_pairs(group, label).T.tolist()} == {(0, 1), (0, 2)}


def test_loss_in_closed_form() -> None:
    logits, label = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 2])
    known, pairs = label != 2, torch.tensor([[0], [1]])
    cross_entropy = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    expected = cross_entropy + 0.5 * np.log1p(np.exp(-3.0))
    assert float(reward_loss(logits, label, known, pairs, 0.5)) == pytest.approx(expected)


def test_ranking_term_learns_what_orders_a_group_and_not_what_tells_groups_apart() -> None:
    generator = torch.Generator().manual_seed(1)
    group = torch.arange(400) // 8
    level = torch.randn(50, generator=generator)[group]
    within = torch.randn(400, generator=generator)
    label = (2 * level + 0.7 * within + 0.3 * torch.randn(400, generator=generator) > 0).long()
    columns = torch.stack([level, within], 1)
    plain = LinearModel.fit(columns, group, label, l2=1.0, rank_weight=0.0).weight
    ranked = LinearModel.fit(columns, group, label, l2=1.0, rank_weight=20.0).weight
    assert ranked[1] / ranked[0] > plain[1] / plain[0]


def test_a_prior_is_what_a_great_penalty_leaves_and_nothing_where_there_is_none() -> None:
    evidence, group, label = data()
    prior = torch.tensor([0.0, 2.0, 0.0, -1.0, 0.5])
    kept = LinearModel.fit(evidence, group, label, l2=1e6, rank_weight=0.5, prior=prior).weight
    assert kept.numpy() == pytest.approx(prior.numpy(), abs=1e-3)
    shifted = LinearModel.fit(evidence, group, label, l2=10.0, rank_weight=0.0, prior=prior).weight
    # In closed form: the gradient of the loss at w equals l2 (prior - w).
    logits = evidence @ shifted + LinearModel.fit(evidence, group, label, l2=10.0, rank_weight=0.0, prior=prior).bias
    gradient = evidence.T @ (torch.sigmoid(logits) - label)
    assert gradient.numpy() == pytest.approx((10.0 * (prior - shifted)).numpy(), abs=2e-3)
