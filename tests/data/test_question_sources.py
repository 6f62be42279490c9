from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from memreward.data import load_questions, read_groups, sample_questions, write_groups
from memreward.domains import parse_rollout
from memreward.types import DOMAINS, ConfigurationError, Group, Query, Truth

FILES = {
    "arc-challenge_test": 1172,
    "arc-challenge_train": 1119,
    "commonsenseqa_dev": 1221,
    "commonsenseqa_train": 9741,
    "gsm8k_test": 1319,
    "gsm8k_train": 7473,
    "humanevalplus": 164,
    "math500_test": 500,
    "math_test": 5000,
    "mbppplus": 378,
    "mmlu_test": 14042,
    "numinamath_3k": 3000,
    "openbookqa_test": 500,
    "openbookqa_train": 4957,
    "piqa_test": 1838,
    "siqa_test": 1954,
}


def question(number: int, subject: str = "", dataset: str = "sums") -> Group:
    query = Query(f"{dataset}-{number}", f"What is {number} + 3?", "math", dataset)
    return Group(query, (), Truth(str(number + 3)), {"license": "CC0", **({"subject": subject} if subject else {})})


def ids(groups: list[Group]) -> list[str]:
    return [group.query.id for group in groups]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    write_groups(path, [question(number) for number in range(10)])
    return path


def test_a_file_gives_its_questions_in_order_and_a_count_gives_a_sample(file: Path) -> None:
    assert load_questions(file) == [question(number) for number in range(10)]
    drawn = load_questions(f"{file}:4", seed=1)
    assert drawn == load_questions(f"{file}:9", seed=1)[:4]
    assert ids(drawn) != ids(load_questions(f"{file}:4", seed=2))
    assert sorted(ids(load_questions(f"{file}:99"))) == sorted(ids(load_questions(file)))


def test_rollouts_of_a_file_are_left_out_with_their_verdicts(tmp_path: Path) -> None:
    query = Query("q", "What is 1 + 1?", "math", "sums")
    rollouts = tuple(parse_rollout(query, f"It is {answer}.", id=f"q/{answer}") for answer in (2, 3))
    path = tmp_path / "rollouts.jsonl"
    write_groups(path, [Group(query, rollouts, Truth("2", (True, False)), {"model": "m"}, ({"run": 1}, {"run": 2}))])
    assert load_questions(path) == [Group(query, (), Truth("2"), {"model": "m"})]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("riddles:4", "'riddles:4': there is no such file; make one by memreward read"),
        ("gcd:0", "ask for at least 1"),
    ],
)
def test_a_name_that_means_nothing_is_refused(source: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_questions(source)


def test_a_sample_holds_each_subject_in_proportion_whatever_the_order_of_the_file() -> None:
    groups = [question(number, "abc"[(number > 59) + (number > 89)]) for number in range(100)]
    drawn = sample_questions(groups, 20, seed=3)
    assert Counter(group.provenance["subject"] for group in drawn) == pytest.approx({"a": 12, "b": 6, "c": 2}, abs=1)
    shuffled = random.Random(0).sample(groups, 100)
    assert sample_questions(shuffled, 20, seed=3) == drawn
    assert sample_questions(groups, 7, seed=3) == drawn[:7]


def test_a_sample_takes_so_many_of_each_dataset() -> None:
    groups = [question(number, dataset=name) for number in range(30) for name in ("x", "y")] + [
        question(1, dataset="z")
    ]
    drawn = sample_questions(groups, 5, seed=0)
    assert Counter(group.query.dataset for group in drawn) == {"x": 5, "y": 5, "z": 1}


def test_every_question_is_equally_likely_to_be_sampled() -> None:
    groups = [question(number, "large" if number else "small") for number in range(10)]
    drawn = Counter(identity for seed in range(600) for identity in ids(sample_questions(groups, 3, seed)))
    assert len(drawn) == 10
    assert all(count == pytest.approx(180, abs=5 * (600 * 0.3 * 0.7) ** 0.5) for count in drawn.values())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.slow
def test_the_real_questions_are_whole(name: str, shared_data: Path) -> None:
    groups = load_questions(shared_data / "questions" / f"{name}.jsonl.gz")
    assert len(groups) == len(set(ids(groups))) == FILES[name]
    for group in groups:
        reference, text = group.truth.reference, group.query.text
        assert group.rollouts == ()
        assert group.query.domain in DOMAINS
        assert group.provenance["license"]
        assert reference is not None
        assert reference.strip()
        if group.query.domain == "qa":
            marked = "".join(line[1] for line in text.splitlines() if line[:1] == "(" and line[2:4] == ") ")
            letters = marked[marked.rindex("A") :]
            assert letters == "ABCDEFGHIJ"[: len(letters)]
            assert len(letters) > 1
            assert reference in letters
        elif group.query.domain == "code":
            tests = json.loads(reference)
            assert tests
            assert all(isinstance(test, str) and "assert" in test for test in tests)


def test_all_files_are_listed_and_no_id_names_two_questions(shared_data: Path) -> None:
    assert {path.name.removesuffix(".jsonl.gz") for path in (shared_data / "questions").iterdir()} == FILES.keys()
    texts: dict[str, str] = {}
    for name in ("gsm8k_test", "commonsenseqa_dev", "math500_test", "humanevalplus"):
        for group in read_groups(shared_data / "questions" / f"{name}.jsonl.gz"):
            assert texts.setdefault(group.query.id, group.query.text) == group.query.text


@pytest.mark.slow
def test_real_samples_are_stratified_and_at_most_what_the_paper_takes(shared_data: Path) -> None:
    path = shared_data / "questions" / "mmlu_test.jsonl.gz"
    groups = load_questions(path)
    whole = Counter(group.provenance["subject"] for group in groups)
    drawn = sample_questions(groups, 1500, seed=0)
    counts = Counter(group.provenance["subject"] for group in drawn)
    assert len(drawn) == len(set(ids(drawn))) == 1500
    assert all(abs(counts[subject] - 1500 * size / 14042) < 2 for subject, size in whole.items())
