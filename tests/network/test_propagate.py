from __future__ import annotations

import numpy as np
import pytest
import torch

from memreward.network import propagate as module
from memreward.network.propagate import ANYWHERE, NEARBY, Kernel, LabelledRollouts, mean_over_equivalent, propagate
from memreward.types import Features


def features_of(group: list[int], outline: np.ndarray) -> Features:
    rows, queries = len(group), max(group) + 1
    vectors = np.ones((rows, 1), np.float32)
    return Features(
        rollout_ids=tuple(map(str, range(rows))),
        query_ids=tuple(map(str, range(queries))),
        group=np.array(group),
        domain=np.zeros(queries, np.int64),
        query_vectors=np.ones((queries, 1), np.float32),
        thinking_vectors=vectors,
        answer_vectors=vectors,
        cluster=np.zeros(rows, np.int64),
        evidence=vectors,
        evidence_names=("one",),
        outline_vectors=outline.astype(np.float32),
    )


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 5))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def log_odds(share: float) -> float:
    return float(np.log((share + 0.05) / (1.05 - share)))


@pytest.mark.parametrize("kernel", [ANYWHERE, NEARBY])
def test_it_is_the_kernel_s_closed_form(kernel: Kernel) -> None:
    memory_group, label = [0, 0, 0, 1, 2, 2], [1, 0, 2, 1, 0, 0]
    outline, new_outline = unit(6, 0), unit(3, 1)
    memory = LabelledRollouts.of(features_of(memory_group, outline), torch.tensor(label))
    neighbours, cosine = torch.tensor([[2, 0], [1, -1]]), torch.tensor([[0.9, 0.6], [0.8, 0.0]])
    found = propagate(features_of([0, 0, 1], new_outline), neighbours, cosine, memory, kernel)
    for row, query in enumerate([0, 0, 1]):
        around, alike, hits, alike_hits = 0.0, 0.0, 0.0, 0.0
        for slot in range(2):
            for j in range(6):
                if memory_group[j] != int(neighbours[query, slot]) or label[j] == 2:
                    continue
                weight = np.exp((float(cosine[query, slot]) - 1) / module.QUERY_WIDTH)
                like = weight * np.exp((float(new_outline[row] @ outline[j]) - 1) / kernel.width)
                around, hits = around + weight, hits + weight * label[j]
                alike, alike_hits = alike + like, alike_hits + like * label[j]
        share = (hits + kernel.shrink * 0.5) / (around + kernel.shrink)
        alike_share = (alike_hits + kernel.shrink * share) / (alike + kernel.shrink)
        expected = [log_odds(share), log_odds(alike_share) - log_odds(share)]
        assert found[row].tolist() == pytest.approx(expected, abs=2e-3)


def test_without_neighbours_nothing_is_said() -> None:
    memory = LabelledRollouts.of(features_of([0, 0], unit(2, 0)), torch.tensor([1, 0]))
    none = torch.full((1, 3), -1)
    found = propagate(features_of([0], unit(1, 1)), none, torch.zeros(1, 3), memory)
    assert found[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_reasoning_that_was_right_before_is_preferred() -> None:
    right, wrong = np.eye(5)[0], np.eye(5)[1]
    memory = LabelledRollouts.of(features_of([0, 0, 1, 1], np.stack([right, wrong] * 2)), torch.tensor([1, 0, 1, 0]))
    new = features_of([0, 0], np.stack([right, wrong]))
    like = propagate(new, torch.tensor([[0, 1]]), torch.tensor([[0.9, 0.9]]), memory)[:, 1]
    assert like[0] > 1
    assert like[1] < -1


def test_nearby_says_nothing_of_what_is_far_where_anywhere_does() -> None:
    right, wrong = np.eye(5)[0], np.eye(5)[1]
    memory = LabelledRollouts.of(features_of([0, 0], np.stack([right, wrong])), torch.tensor([1, 0]))
    new = features_of([0, 0], np.stack([right, wrong]))

    def said(cosine: float, kernel: Kernel) -> float:
        return float(propagate(new, torch.tensor([[0]]), torch.tensor([[cosine]]), memory, kernel)[:, 1].abs().max())

    assert said(1.0, NEARBY) > 0.5
    assert said(0.4, NEARBY) < 0.02
    assert said(0.4, ANYWHERE) > 0.5


def test_unknown_labels_are_not_kept() -> None:
    memory = LabelledRollouts.of(features_of([1, 0, 1], unit(3, 0)), torch.tensor([2, 1, 0]))
    assert memory.start.tolist() == [0, 1, 2]
    assert memory.right.tolist() == [True, False]


def test_equivalent_answers_get_their_mean_and_others_keep_their_own() -> None:
    values = torch.tensor([[1.0, 2.0, 6.0, 4.0, 5.0], [0.0, 1.0, 0.0, 3.0, 7.0]])
    cluster = torch.tensor([3, -1, 3, 0, -1])
    expected = [[3.5, 2.0, 3.5, 4.0, 5.0], [0.0, 1.0, 0.0, 3.0, 7.0]]
    assert mean_over_equivalent(values, cluster).tolist() == expected
    order = torch.tensor([4, 2, 0, 3, 1])
    assert mean_over_equivalent(values[:, order], cluster[order]).tolist() == torch.tensor(expected)[:, order].tolist()
    assert mean_over_equivalent(torch.zeros(2, 0), torch.zeros(0, dtype=torch.int64)).shape == (2, 0)
