import numpy as np
import pytest

from memreward.evaluation.baselines.crossfit import check_classes
from memreward.evaluation.held_out import assign_folds
from memreward.features.subset import joined, rows_of_queries, subset, vote_share
from memreward.types import Features, LabelError


def content(features: Features) -> dict:
    """What each rollout looks like, whatever the numbering."""
    return {
        rollout: (
            features.query_ids[features.group[row]],
            features.query_vectors[features.group[row]].tolist(),
            features.domain[features.group[row]],
            features.thinking_vectors[row].tolist(),
            frozenset(
                features.rollout_ids[other]
                for other in np.flatnonzero(features.cluster == features.cluster[row])
                if features.cluster[row] >= 0
            ),
        )
        for row, rollout in enumerate(features.rollout_ids)
    }


def test_rows_keep_their_queries_vectors_and_classes(synthetic):
    features = synthetic(20).features
    rows = np.random.default_rng(0).permutation(len(features))
    assert content(subset(features, rows)) == content(features)


def test_queries_are_numbered_by_first_appearance(synthetic):
    features = synthetic(20).features
    part = subset(features, np.random.default_rng(1).permutation(len(features))[:50])
    firsts = list(dict.fromkeys(part.group.tolist()))
    assert firsts == list(range(len(part.query_ids)))
    assert part.query_vectors.shape[0] == part.domain.shape[0] == len(part.query_ids)


def test_mask_and_indices_agree_and_an_empty_choice_is_empty(synthetic):
    features = synthetic(10).features
    mask = rows_of_queries(features, {"q3", "q7"})
    assert content(subset(features, mask)) == content(subset(features, np.flatnonzero(mask)))
    assert set(subset(features, mask).query_ids) == {"q3", "q7"}
    assert len(subset(features, np.zeros(len(features), bool))) == 0


def test_parts_of_whole_queries_are_joined_to_what_they_were_cut_from(synthetic):
    features = synthetic(20).features
    parts = [subset(features, np.isin(features.group, queries)) for queries in np.split(np.arange(20), [3, 4, 11])]
    whole = joined(parts)
    assert content(whole) == content(features)
    assert whole.query_ids == features.query_ids
    np.testing.assert_array_equal(whole.evidence, features.evidence)


def test_vote_share_counts_the_pool(synthetic):
    features = synthetic(25).features
    expected = [
        0.0
        if features.cluster[row] < 0
        else (features.cluster == features.cluster[row]).sum() / (features.group == features.group[row]).sum()
        for row in range(len(features))
    ]
    assert vote_share(features) == pytest.approx(np.array(expected), abs=1e-6)


def test_folds_are_even_and_follow_the_ids_not_their_order():
    ids = [f"q{index}" for index in range(23)]
    folds = dict(zip(ids, assign_folds(ids, 5, 1), strict=True))
    assert sorted(np.bincount(list(folds.values()))) == [4, 4, 5, 5, 5]
    assert dict(zip(ids[::-1], assign_folds(ids[::-1], 5, 1), strict=True)) == folds
    assert dict(zip(ids, assign_folds(ids, 5, 2), strict=True)) != folds


@pytest.mark.parametrize(("labels", "said"), [([-1, -1], "no rollout"), ([1, -1], "are right"), ([0, 0], "are wrong")])
def test_missing_classes_are_named(labels, said):
    with pytest.raises(LabelError, match=said):
        check_classes(np.array(labels, np.int8))
