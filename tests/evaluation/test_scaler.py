from __future__ import annotations

import numpy as np
import pytest

from memreward.evaluation.scaler import CLIP, EvidenceScaler


def test_columns_are_standardised_and_missing_values_take_the_median() -> None:
    evidence = np.array([[1, 5, np.nan], [2, 5, 4], [3, 5, 8], [np.nan, 5, 6]], dtype=np.float32)
    scaler = EvidenceScaler.fit(evidence)
    scaled = scaler.apply(evidence)
    assert scaled.shape == (4, scaler.width) == (4, 5)
    assert scaled[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert scaled[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert scaled[3, 0] == pytest.approx(0, abs=1e-6)
    assert (scaled[:, 1] == 0).all()
    assert scaled[:, 3].tolist() == [0, 0, 0, 1]
    assert scaled[:, 4].tolist() == [1, 0, 0, 0]


def test_a_column_that_is_always_missing_says_nothing() -> None:
    evidence = np.array([[1, np.nan], [2, np.nan]], dtype=np.float32)
    scaled = EvidenceScaler.fit(evidence).apply(evidence)
    assert scaled.shape[1] == 2
    assert (scaled[:, 1] == 0).all()


def test_one_odd_rollout_is_clipped() -> None:
    scaler = EvidenceScaler.fit(np.array([[0.0], [1.0]], dtype=np.float32))
    assert scaler.apply(np.array([[1e9]], dtype=np.float32)).item() == CLIP
