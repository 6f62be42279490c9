from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from memreward.data import (
    Split,
    SplitConfig,
    load_questions,
    make_split,
    part_of,
    read_groups,
    read_split,
    write_split,
)
from memreward.domains import parse_rollout
from memreward.types import ConfigurationError, DataError, Group, Query, Truth


def group(number: int, dataset: str = "sums", reference: str | None = "4", rollouts: int = 0) -> Group:
    query = Query(f"{dataset}-{number}", f"What is {number} + 3?", "math", dataset)
    made = tuple(parse_rollout(query, "It is 4.", id=f"{query.id}/{index}") for index in range(rollouts))
    return Group(query, made, Truth(reference, (True,) * rollouts))


GROUPS = [group(number, "a") for number in range(300)] + [group(number, "b") for number in range(100)]


def test_each_question_is_in_one_part_and_the_parts_have_their_shares() -> None:
    split = make_split(GROUPS, SplitConfig(validation=0.2, test=0.3))
    parts = [set(split.train), set(split.validation), set(split.test)]
    assert set.union(*parts) == {group.query.id for group in GROUPS}
    assert sum(map(len, parts)) == 400
    assert [len(part) for part in parts] == pytest.approx([200, 80, 120], abs=40)


def test_id_and_seed_alone_decide_the_part() -> None:
    config = SplitConfig()
    whole, half = make_split(GROUPS, config), make_split(GROUPS[::-2], config)
    assert set(half.test) == set(whole.test) & {group.query.id for group in GROUPS[::-2]}
    assert all(part_of(identity, config) == "validation" for identity in whole.validation)
    assert set(make_split(GROUPS, SplitConfig(seed=1)).test) != set(whole.test)
    assert make_split(GROUPS[::-1], config) == whole


def test_parts_are_counted_by_dataset_and_an_id_stands_once() -> None:
    split = make_split(GROUPS)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    assert split.datasets["b"] == {name: sum(i[0] == "b" for i in part) for name, part in parts.items()}
    with pytest.raises(DataError, match="'sums-1' stands twice"):
        make_split([group(1), group(2), group(1)])


def test_a_split_is_written_and_read_whole_with_seed_and_version(tmp_path: Path) -> None:
    split = make_split(GROUPS, SplitConfig(seed=3))
    path = tmp_path / "new" / "split.json"
    write_split(path, split)
    first = path.read_bytes()
    assert read_split(path) == read_split(path, GROUPS[::-1]) == split
    write_split(path, make_split(GROUPS[::-1], SplitConfig(seed=3)))
    assert path.read_bytes() == first
    record = json.loads(first)
    assert record["settings"] == {"validation": 0.1, "test": 0.1, "seed": 3}
    assert record["memreward"] == split.version
    assert [entry.name for entry in path.parent.iterdir()] == ["split.json"]


def test_a_split_of_other_questions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    write_split(path, make_split(GROUPS))
    changed = replace(GROUPS[0], query=replace(GROUPS[0].query, text="What is 0 + 4?"))
    for others in (GROUPS[1:], [changed, *GROUPS[1:]]):
        with pytest.raises(DataError, match="was drawn from other questions"):
            read_split(path, others)


@pytest.mark.parametrize("content", ["not JSON", "[]", "{}", '{"split": 1}', '{"split": 2, "settings": {"seed": 0}}'])
def test_a_file_that_holds_no_split_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"split\.json: not a split of this release .*draw it again"):
        read_split(path)
    with pytest.raises(DataError, match=r"absent\.json: cannot be read"):
        read_split(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test": -0.1}, "test is -0.1: use a share of at least 0"),
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
    ],
)
def test_shares_out_of_range_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SplitConfig(**settings)


@pytest.mark.slow
def test_real_questions_have_one_part_in_question_and_rollout_file(shared_data: Path) -> None:
    config = SplitConfig(seed=0)
    files = ("questions/gsm8k_test", "rollouts/gsm8k_gpt3")
    asked, answered = (
        make_split([bare(g) for g in read_groups(shared_data / f"{name}.jsonl.gz")], config) for name in files
    )
    assert asked.train == answered.train
    both = load_questions(f"{shared_data}/questions/gsm8k_test.jsonl.gz,{shared_data}/questions/piqa_test.jsonl.gz")
    joined: Split = make_split(both, config)
    assert set(asked.test) == {identity for identity in joined.test if identity.startswith("gsm8k")}


def bare(group: Group) -> Group:
    return replace(group, query=replace(group.query, dataset="GSM8K"), rollouts=(), truth=Truth(group.truth.reference))
