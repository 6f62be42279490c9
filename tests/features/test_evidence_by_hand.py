"""Signals that are computed in bulk, against the same written as loops over pairs of rollouts and over every token."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from memreward.domains import parse_rollout
from memreward.domains.math import arithmetic
from memreward.features.evidence import compute_evidence
from memreward.features.evidence.overlap import Overlap
from memreward.features.evidence.parts import hashed, word_pairs
from memreward.features.evidence.pools import Pools
from memreward.types import Query, Rollout
from rows import each_row

Sets = Sequence[frozenset[int]]


def pools_of(seed: int, sizes: Sequence[int]) -> tuple[Pools, list[frozenset[int]]]:
    """Pools of random answers (some none), their rollouts shuffled, with random parts."""
    generator = random.Random(seed)
    rollouts = []
    for q, size in enumerate(sizes):
        query = Query(f"q{q}", "?", "math")
        answers = [generator.choice(["1", "1.0", "2", "x+1", None]) for _ in range(size)]
        rollouts += [Rollout(query, "", "", answer, f"{q}-{i}") for i, answer in enumerate(answers)]
    generator.shuffle(rollouts)
    parts = [frozenset(generator.sample(range(12), generator.choice([0, 1, 3, 8]))) for _ in rollouts]
    return Pools.of(rollouts), parts


def overlap_by_pairs(pools: Pools, parts: Sets) -> NDArray[np.float64]:
    """The definitions of `Overlap`, one pair of rollouts at a time."""
    columns = [_overlap_of(row, pools, parts) for row in range(len(parts))]
    return np.array(columns).reshape(-1, 4).T


def _overlap_of(row: int, pools: Pools, parts: Sets) -> tuple[float, float, float, float]:
    pool = [i for i in range(len(parts)) if pools.group[i] == pools.group[row]]
    others = [i for i in pool if i != row]
    m = len(pool)

    def worth(part: int) -> float:
        return math.log((m + 1) / sum(part in parts[i] for i in pool))

    def mass(held: frozenset[int]) -> float:
        return sum(worth(part) for part in held)

    def norm(held: frozenset[int]) -> float:
        return math.sqrt(sum(worth(part) ** 2 for part in held))

    def mean(terms: dict[int, float]) -> float:
        return sum(terms.values()) / len(terms) if terms else math.nan

    mine = parts[row]
    filled = [i for i in others if parts[i]]
    rivals = [i for i in others if pools.cluster[row] < 0 or pools.cluster[i] != pools.cluster[row]]

    def precision(among: list[int]) -> float:
        return mean({i: mass(mine & parts[i]) / mass(mine) for i in among}) if mine else math.nan

    def cosine(i: int) -> float:
        shared = sum(worth(part) ** 2 for part in mine & parts[i])
        return shared / (norm(mine) * norm(parts[i])) if mine else 0.0

    return (
        precision(others),
        mean({i: mass(mine & parts[i]) / mass(parts[i]) for i in filled}),
        mean({i: cosine(i) for i in filled}),
        precision(rivals),
    )


@each_row(("seed", "sizes"), [(0, [1]), (1, [2, 5]), (2, [8, 1, 8]), (3, [3, 17, 4])])
def test_overlap_is_its_definition(seed: int, sizes: list[int]) -> None:
    pools, sets = pools_of(seed, sizes)
    arrays = [np.array(sorted(s), dtype=np.uint64) for s in sets]
    overlap, slow = Overlap(pools, arrays), overlap_by_pairs(pools, sets)
    for name, column in zip(("precision", "recall", "cosine", "rival_precision"), slow, strict=True):
        np.testing.assert_allclose(getattr(overlap, name), column, rtol=1e-9, atol=1e-12, err_msg=name)


def test_pairs_of_words_are_counted_as_sets() -> None:
    text = "So 3 + 4 = 7. So 3 + 4 = 7, and so on"
    words = ["so", "3", "+", "4", "=", "7", ".", "so", "3", "+", "4", "=", "7", ",", "and", "so", "on"]
    assert len(word_pairs(text)) == len(set(pairwise(words)))
    assert len(set(hashed(["a", "b", "\ud800", "a"]).tolist())) == 3


ATOMS = (
    *("1", "2", "3.5", ".5", "12,000", "4", "7", " ", "  ", " = ", " + ", " - ", "\n", "+", "-", "*", "/", "^", "="),
    *("==", "≈", "\\approx ", "(", ")", "{", "}", "%", "\\%", "x", "eggs", " of ", "\\frac{1}{2}", "\\times ", "\\;"),
    *("\\!", "!", ";", ".", ",", ":", "_", "[", "]", "<<1+1=2>>", "<", "**", "'", "|", "−", "×", "\u2028", "\\", "²"),
)


def test_statements_are_those_of_a_scan_of_every_token() -> None:
    """Passages that are skipped hold no statement, and the cuts between passages break none."""
    generator = random.Random(0)
    found = 0
    for _ in range(4_000):
        text = "".join(generator.choice(ATOMS) for _ in range(generator.randint(3, 25)))
        bare = arithmetic._FRACTION.sub(r"((\1)/(\2))", arithmetic._ANNOTATION.sub("", text))
        bare = arithmetic._BOLD.sub("", bare)
        every: dict[str, bool] = {}
        for inside in arithmetic._ANNOTATION.findall(text):
            every |= arithmetic._scan(inside)
        for line in bare.splitlines():
            every |= arithmetic._scan(line)
        assert arithmetic.arithmetic_statements(text) == list(every.items()), text
        found += len(every)
    assert found > 500, "the texts hold statements to be found"


def test_answers_spelled_alike_are_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, and answers that differ in decoration only, need no algebra process."""

    def no_process(expression: str) -> None:
        pytest.fail(f"asked for the value of {expression}")

    monkeypatch.setattr("memreward.domains.math.process._evaluate", no_process)
    angle = Query("angle", "What is the angle?", "math")
    hens = Query("hens", "How many hens?", "math")
    texts = [
        (angle, f"It is \\boxed{{{a}}}") for a in ("\\arctan(\\sec 2)", "$\\arctan(\\sec 2)$", "\\arctan(\\sec 2).")
    ]
    texts += [(hens, f"\\boxed{{{a}}}") for a in ("1/2", "0.5", "\\frac12", "50\\%", "12 hens", "\\sqrt{4}")]
    evidence = compute_evidence([parse_rollout(q, text, id=str(i)) for i, (q, text) in enumerate(texts)])
    assert evidence.cluster[:2].tolist() == [0, 0]
