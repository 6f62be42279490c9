"""Evidence: closed forms, independence of order and of other queries, and what is undefined."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from memreward.data import group_from_record, read_groups
from memreward.domains import parse_rollout
from memreward.features.evidence import Evidence, compute_evidence
from memreward.types import Domain, Query, Rollout

DOCS = Path(__file__).resolve().parents[2] / "docs" / "evidence.md"

EGGS = Query("eggs", "A hen lays 3 eggs a day. How many eggs do 4 hens lay in a week?", "math")
COLOUR = Query("colour", "What colour is snow?\n(A) white\n(B) red\n(C) green", "qa")
DOUBLE = Query("double", 'def double(x, times):\n    """Double x as often as times says."""\n', "code")
RIDDLE = Query("riddle", "What has keys but opens no lock?", "other")

MATH_TEXTS = (
    "3 * 4 = 12 eggs a day. 12 * 7 = 84 eggs a week.\nThe answer is \\boxed{84}.",
    "In a day 4 hens lay 12 eggs. 12 * 7 = 84.\nThe answer is \\boxed{84}.",
    "3 + 4 = 7 and 7 * 7 = 49.\nThe answer is \\boxed{49}.",
    "12 * 7 = 80.5, so \\boxed{80.5}",
)
CODE_TEXTS = (
    "    for _ in range(times):\n        x = 2 * x\n    return x\n",
    "    for i in range(times):\n        x = 2 * x\n    return x\n",
    "    return x * 2 ** times\n",
    "    return shift(x, times)\n",
)


def rollouts_of(query: Query, texts: Sequence[str], prefix: str = "r") -> list[Rollout]:
    return [parse_rollout(query, text, id=f"{query.id}-{prefix}{i}") for i, text in enumerate(texts)]


def answered(answers: Sequence[str | None], *, query: Query = EGGS, texts: Sequence[str] = ()) -> list[Rollout]:
    thinking = texts or ["so it is"] * len(answers)
    return [Rollout(query, t, t, a, f"{query.id}{i}") for i, (a, t) in enumerate(zip(answers, thinking, strict=True))]


def column(evidence: Evidence, name: str) -> np.ndarray:
    return evidence.values[:, evidence.names.index(name)]


def same(a: ArrayLike, b: ArrayLike) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def mixed() -> list[Rollout]:
    return [
        *rollouts_of(EGGS, MATH_TEXTS),
        *rollouts_of(COLOUR, ["Snow is white. (A)", "It is (A)", "I would say (C) as of spring"]),
        *rollouts_of(DOUBLE, CODE_TEXTS),
        *rollouts_of(RIDDLE, ["The answer is a piano."]),
    ]


def test_agreement_counts_votes() -> None:
    evidence = compute_evidence(answered(["84", "84.0", "49", None, "84"]))
    same(column(evidence, "agreement_share"), [0.6, 0.6, 0.2, 0.0, 0.6])
    same(column(evidence, "agreement_relative"), [1, 1, 1 / 3, 0, 1])
    same(column(evidence, "agreement_plurality"), [1, 1, 0, 0, 1])
    same(column(evidence, "cluster_count"), [2] * 5)
    same(column(evidence, "cluster_entropy"), [-0.75 * math.log(0.75) - 0.25 * math.log(0.25)] * 5)
    same(column(evidence, "pool_size_log"), [math.log(5)] * 5)
    same(column(evidence, "has_answer"), [1, 1, 1, 0, 1])
    assert evidence.cluster.tolist() == [0, 0, 1, -1, 0]


def test_clusters_are_unique_across_queries_and_groups_follow_first_appearance() -> None:
    a, b = answered(["1", "2"]), answered(["1", "1"], query=RIDDLE)
    evidence = compute_evidence([a[0], b[0], a[1], b[1]])
    assert evidence.query_ids == ("eggs", "riddle")
    assert evidence.group.tolist() == [0, 1, 0, 1]
    assert evidence.cluster[1] == evidence.cluster[3]
    assert len(set(evidence.cluster.tolist())) == 3


def test_number_overlap_is_weighted_by_rarity() -> None:
    """Numbers {1, 2}, {1, 3}, {1, 2}: 1 weighs log(4/3), 2 weighs log(4/2), 3 weighs log(4)."""
    evidence = compute_evidence(answered(["5", "6", "5"], texts=["1 then 2", "1 then 3", "2 then 1"]))
    one, two, three = math.log(4 / 3), math.log(2), math.log(4)
    first = (1 + one / (one + three)) / 2
    second = one / (one + two)
    same(column(evidence, "number_recall_cluster"), [first, second, first])


def test_words_shared_with_rivals_are_told_from_words_shared_with_allies() -> None:
    texts = ["alpha beta gamma", "alpha beta delta", "omega psi chi"]
    agreeing = compute_evidence(answered(["1", "1", "2"], texts=texts))
    rivalling = compute_evidence(answered(["1", "2", "2"], texts=texts))
    same(column(agreeing, "word_rivals_cluster"), [0, 0, 0])
    assert column(rivalling, "word_rivals_cluster")[0] > 0
    assert np.isnan(column(compute_evidence(answered(["1", "1", "1"], texts=texts)), "word_rivals_cluster")).all()


def test_arithmetic_is_checked() -> None:
    evidence = compute_evidence(rollouts_of(EGGS, MATH_TEXTS))
    same(column(evidence, "arithmetic_true"), np.log1p([2, 1, 2, 0]))
    same(column(evidence, "arithmetic_false"), np.log1p([0, 0, 0, 1]))
    votes = np.log1p([2, 1, 2, 0])
    same(column(evidence, "arithmetic_votes"), np.array([votes[0] + votes[1]] * 2 + [votes[2], 0]) / votes.sum())


def test_what_the_arithmetic_comes_to_is_compared_with_the_answer() -> None:
    texts = ["3 * 4 = 12. Then 7 * 12 = 84", "7 * 12 = 49", "7 + 5 = 12. And 40 + 9 = 49", "nothing", "4 = 3 + 1"]
    evidence = compute_evidence(answered(["$84", "49", "-49", "84", "x"], texts=texts))
    same(column(evidence, "arithmetic_results"), np.log1p([2, 1, 2, 0, 0]))
    same(column(evidence, "arithmetic_answer"), [1, 0, 1, np.nan, np.nan])


def test_decimals_of_an_answer() -> None:
    evidence = compute_evidence(answered(["84", "49", "49", "\\frac{1}{2}"]))
    same(column(evidence, "answer_decimal"), [0, 0, 0, 0])
    assert column(compute_evidence(answered(["$1,084.50", "7"])), "answer_decimal").tolist() == [1, 0]


def test_numbers_of_the_question_are_looked_up_in_the_thinking() -> None:
    evidence = compute_evidence(answered(["84", "12", "7"], texts=["3 * 4.0 = 12, 84", "3 * 7", "nothing"]))
    same(column(evidence, "number_from_question"), [1, 1 / 2, 0])
    assert np.isnan(column(compute_evidence(answered(["1"], query=RIDDLE)), "number_from_question")).all()


def test_distance_of_answers_is_in_magnitude() -> None:
    evidence = compute_evidence(answered(["0", str(math.e - 1), "x+1"]))
    same(column(evidence, "answer_distance"), [0.5, 0.5, np.nan])


def test_form_of_the_text() -> None:
    texts = ["a b c d e f g", "a b c d a b c d a b c d", "hm"]
    rollouts = answered(["1", "1", None], texts=texts)
    evidence = compute_evidence(rollouts)
    same(column(evidence, "truncated"), [0, 0, 1])
    told = compute_evidence([replace(rollouts[0], truncated=True), replace(rollouts[2], truncated=False)])
    same(column(told, "truncated"), [1, 0])
    length = np.log1p([len(t) for t in texts])
    same(column(evidence, "length_log"), length)
    same(column(evidence, "length_to_pool"), length - length.mean())
    same(column(evidence, "length_distance"), np.abs(length - length.mean()))


def test_log_probabilities_where_known() -> None:
    rollouts = answered(["1", "1", "2"])
    rollouts[0] = replace(rollouts[0], token_logprobs=(-0.5, -3.5))
    rollouts[2] = replace(rollouts[2], token_logprobs=(-1.0,))
    evidence = compute_evidence(rollouts)
    same(column(evidence, "logprob_mean"), [-2, np.nan, -1])
    same(column(evidence, "logprob_min"), [-3.5, np.nan, -1])
    same(column(evidence, "logprob_unlikely"), [0.5, np.nan, 0])
    same(column(evidence, "logprob_cluster"), [-2, -2, -1])


def test_code_is_read_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    texts = [*CODE_TEXTS, f"    open({str(trap)!r}, 'w')\n    return x\n", "Sorry, I cannot help."]
    evidence = compute_evidence(rollouts_of(DOUBLE, texts))
    assert not trap.exists()
    assert evidence.cluster[0] == evidence.cluster[1], "renamed loop variables are one answer"
    same(column(evidence, "code_defines"), [1, 1, 1, 1, 1, 0])
    same(column(evidence, "code_parses"), [1, 1, 1, 1, 1, 0])
    same(column(evidence, "code_whole"), [1, 1, 1, 1, 1, 0])
    same(column(evidence, "code_undefined"), [0, 0, 0, math.log(2), 0, np.nan])
    recall = column(evidence, "code_tree_recall")
    assert recall[0] == recall[1] > recall[2]
    assert recall[5] == 0
    assert column(evidence, "code_tree_cosine")[0] > column(evidence, "code_tree_cosine")[3]


def test_trailing_junk_shows() -> None:
    whole, torn = rollouts_of(DOUBLE, [CODE_TEXTS[2], CODE_TEXTS[2] + "\n\nassert double(1, 2) == ("])
    evidence = compute_evidence([whole, torn])
    same(column(evidence, "code_whole"), [1, 0])
    same(column(evidence, "code_parses"), [1, 1])


@pytest.mark.parametrize("seed", range(3))
def test_order_does_not_matter(seed: int) -> None:
    rollouts = mixed()
    order = np.random.default_rng(seed).permutation(len(rollouts))
    plain = compute_evidence(rollouts)
    shuffled = compute_evidence([rollouts[i] for i in order])
    same(shuffled.values, plain.values[order])
    pairs = {(a, b) for a, b in zip(plain.cluster[order].tolist(), shuffled.cluster.tolist(), strict=True)}
    assert len(pairs) == len(set(plain.cluster.tolist())), "clusters are the same up to their numbers"


def test_other_queries_do_not_matter() -> None:
    rollouts = mixed()
    together = compute_evidence(rollouts)
    for query in (EGGS, COLOUR, DOUBLE, RIDDLE):
        rows = [i for i, r in enumerate(rollouts) if r.query.id == query.id]
        same(compute_evidence([rollouts[i] for i in rows]).values, together.values[rows])


def test_earlier_rollouts_of_the_query_change_agreement() -> None:
    now = answered(["84", "49"])
    earlier = [replace(r, id=f"old{i}") for i, r in enumerate(answered(["49", "49"]))]
    same(column(compute_evidence(now), "agreement_share"), [0.5, 0.5])
    same(column(compute_evidence([*earlier, *now]), "agreement_share")[2:], [0.25, 0.75])


@pytest.mark.parametrize("size", [1, 2, 64])
def test_sizes_of_groups(size: int) -> None:
    evidence = compute_evidence(answered([str(i % 4) for i in range(size)], texts=[f"{i} + 1" for i in range(size)]))
    assert evidence.values.shape == (size, len(evidence.names))
    assert not np.isinf(evidence.values).any()
    alone = np.isnan(column(evidence, "word_recall"))
    assert alone.all() if size == 1 else not alone.any()


def test_unequal_groups_are_what_they_are_alone() -> None:
    groups = [answered([str(i % 3) for i in range(n)], query=replace(EGGS, id=f"q{n}")) for n in (1, 2, 17, 64)]
    together = compute_evidence([r for group in groups for r in group])
    same(together.values, np.concatenate([compute_evidence(group).values for group in groups]))


def test_nobody_answers() -> None:
    evidence = compute_evidence(answered([None, None, None]))
    assert evidence.cluster.tolist() == [-1, -1, -1]
    same(column(evidence, "agreement_share"), [0, 0, 0])
    for name in ("agreement_relative", "agreement_plurality", "cluster_entropy", "word_recall_cluster"):
        assert np.isnan(column(evidence, name)).all(), name
    same(column(evidence, "cluster_count"), [0, 0, 0])
    same(column(evidence, "word_recall"), [1, 1, 1])


def test_no_rollouts() -> None:
    evidence = compute_evidence([])
    assert evidence.values.shape == (0, len(compute_evidence(mixed()).names))
    assert evidence.query_ids == ()


@pytest.mark.parametrize(
    ("domain", "absent"), [("other", ("code", "option")), ("qa", ("code", "number", "arithmetic"))]
)
def test_domains_lack_what_makes_no_sense_for_them(domain: Domain, absent: tuple[str, ...]) -> None:
    evidence = compute_evidence(answered(["A", "A", "B"], query=Query("q", "Which?\n(A) a\n(B) b", domain)))
    for name in evidence.names:
        if name.startswith(absent):
            assert np.isnan(column(evidence, name)).all(), name
    for name in ("agreement_share", "word_recall", "length_to_pool"):
        assert np.isfinite(column(evidence, name)).all(), name


def test_provenance_and_labels_are_never_read() -> None:
    record = {
        "id": "eggs",
        "dataset": "farm",
        "domain": "math",
        "query": EGGS.text,
        "reference": "84",
        "model": "one",
        "rollouts": [{"text": text, "correct": True, "model": "one"} for text in MATH_TEXTS],
    }
    other = record | {
        "dataset": "zoo",
        "reference": "49",
        "model": "two",
        "level": 5,
        "rollouts": [{"text": text, "correct": False, "model": "two", "run": 9} for text in MATH_TEXTS],
    }
    plain, changed = (compute_evidence(group_from_record(r).rollouts).values for r in (record, other))
    np.testing.assert_array_equal(plain, changed)


def test_every_signal_is_documented() -> None:
    table = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    documented = [re.findall(r"`(\w+)`", line)[0] for line in table]
    with_runs = compute_evidence(mixed(), behaviours=[None] * len(mixed()))
    assert documented == list(with_runs.names)


def test_long_and_broken_texts() -> None:
    long = "12 * 7 = 84 and then " * 5_000
    assert len(long) > 100_000
    texts = [long, "\ud800 lone surrogate \udfff 84", "\x00\x01", "9" * 5_000, ""]
    for query in (EGGS, COLOUR, DOUBLE, RIDDLE):
        evidence = compute_evidence([*rollouts_of(query, texts), *answered(["\udc00", "1" * 5_000], query=query)])
        assert evidence.values.shape[0] == 7
        assert not np.isinf(evidence.values).any()


@pytest.mark.parametrize(
    ("file", "questions", "least"),
    [
        ("gsm8k_gpt3", 60, {"agreement_share": 0.7, "number_recall_cluster": 0.65, "arithmetic_votes": 0.75}),
        pytest.param(
            *("humaneval_codegen-16b", 15, {"code_tree_recall": 0.65, "code_token_recall": 0.6}), marks=pytest.mark.slow
        ),
    ],
)
def test_signals_know_right_from_wrong(shared_data: Path, file: str, questions: int, least: dict[str, float]) -> None:
    """On real rollouts, signals order right before wrong inside the group; a broken one falls to one half."""
    groups = list(islice(read_groups(shared_data / "rollouts" / f"{file}.jsonl.gz"), questions))
    evidence = compute_evidence([r for g in groups for r in g.rollouts])
    correct = np.array([c is True for g in groups for c in g.truth.correct])
    for signal, bound in least.items():
        assert mean_group_auc(column(evidence, signal), correct, evidence.group) > bound, signal


def mean_group_auc(values: np.ndarray, correct: np.ndarray, group: np.ndarray) -> float:
    aucs = []
    for query in np.unique(group):
        right, wrong = (values[(group == query) & (correct == verdict)] for verdict in (True, False))
        if len(right) and len(wrong):
            difference = right[:, None] - wrong[None, :]
            aucs.append(float(((difference > 0) + 0.5 * (difference == 0)).mean()))
    return float(np.mean(aucs))
