"""The sources that a prior learns from: what is shipped keeps its promises, and what is asked shares nothing."""

import gzip
import importlib.util
import json
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from memreward.answers.prior import DEFAULT, RewardPrior
from memreward.data import read_groups
from memreward.policy.sampler import Chat, Sample, SampledGroup
from rows import each_row

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "examples" / "sources").glob("*.jsonl.gz"))


def _module(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each_row("path", SHIPPED)
def test_a_source_has_groups_of_one_policy_with_log_probabilities_and_licence(path: Path) -> None:
    with gzip.open(path, "rt") as file:
        lines = [json.loads(line) for line in file]
    assert len({line["sampler"]["temperature"] for line in lines}) == 1
    assert all(line["license"] and line["source"] for line in lines)
    for line in lines:
        assert len(line["rollouts"]) == 8
        assert all(rollout["token_logprobs"] for rollout in line["rollouts"])
        assert all("correct" in rollout for rollout in line["rollouts"])
    assert len({rollout["policy_version"] for line in lines for rollout in line["rollouts"]}) == 1


@pytest.mark.slow
def test_only_policies_of_one_data_set_share_questions_and_the_prior_leaves_all_of_them_out() -> None:
    example = ROOT / "src" / "memreward" / "demo" / "qwen2.5-coder-0.5b_reasoning-gym.jsonl.gz"
    queries = {_name(path): [group.query for group in read_groups(path)] for path in [example, *SHIPPED]}
    texts = {name: {" ".join(query.text.split()) for query in asked} for name, asked in queries.items()}
    shared = {(one, other) for one, other in combinations(texts, 2) if texts[one] & texts[other]}
    kinds = ("mbpp", "math-levels-1-3")
    assert shared == {(f"qwen2.5-coder-0.5b_{kind}_t0.7", f"qwen2.5-coder-1.5b_{kind}_t0.7") for kind in kinds}
    prior = RewardPrior.load(DEFAULT)
    choice = ("0.5b_gym-choice_t0.7", "0.5b_piqa_t0.7", "0.5b_commonsenseqa_t0.7")
    measured = {f"qwen2.5-coder-{name}" for name in (*choice, "1.5b_openbookqa_t0.7", "1.5b_siqa_t1.0")}
    assert {factor.card.name for factor in prior.factors} & set(queries) == set(queries) - measured
    for pair in shared:
        left = {factor.card.name for factor in prior.without(queries[pair[0]]).factors}
        assert not left & {*pair, *(["mbpp_ldb_3models"] if "mbpp" in pair[0] else [])}


def _name(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


def test_questions_held_out_for_measuring_are_not_asked(tmp_path: Path) -> None:
    sources = _module("collect_sources")
    entry = {"dataset": "MATH", "domain": "math", "reference": "1", "level": "Level 1", "rollouts": []}
    _write(
        tmp_path / "math_test.jsonl.gz", [{**entry, "id": f"m{n}", "query": f"What is {n} - {n}?"} for n in range(9)]
    )
    _write(tmp_path / "math500_test.jsonl.gz", [{**entry, "id": "x", "query": "What is  3 - 3?"}])
    asked = sources._questions(sources.SOURCES["math-levels-1-3_t0.7"], tmp_path, ())
    assert sorted(group.query.id for group in asked) == ["m0", "m1", "m2", "m4", "m5", "m6", "m7", "m8"]


class _Same:
    """Samples the same text for every question."""

    config = None

    def prompts(self, chats: list[Chat]) -> list[Chat]:
        return chats

    def sample(self, prompts: list[Chat]) -> Iterator[SampledGroup]:
        yield from (SampledGroup(chat.id, (Sample("#### 7", token_logprobs=(-0.5,)),) * 8) for chat in prompts)


def test_a_source_is_gone_on_with_and_no_other_asks_its_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = _module("collect_sources")
    monkeypatch.setattr(sources, "_sampler", lambda *_: _Same())
    entry = {"dataset": "gsm8k", "domain": "math", "reference": "7", "rollouts": []}
    lines = [{**entry, "id": f"g{n}", "query": f"How many of {n} pens are red?"} for n in range(9)]
    _write(tmp_path / "gsm8k_train.jsonl.gz", lines)

    def collected(source: str, most: int) -> list[str]:
        folders = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
        argv = ["collect_sources", "model", str(tmp_path), *folders, "--only", source, "--at-most", str(most)]
        monkeypatch.setattr(sys, "argv", argv)
        sources.main()
        found = list(read_groups(tmp_path / "out" / f"qwen2.5-coder-0.5b_{source}.jsonl.gz"))
        assert all(len(group.rollouts) == 8 for group in found)
        return [group.query.id for group in found]

    first = collected("gsm8k_t0.7", 2)
    assert len(set(first)) == 2
    other = collected("gsm8k_t1.0", 3)
    assert len(set(other)) == 3
    whole = collected("gsm8k_t0.7", 5)
    assert whole[:2] == first
    assert len({*whole, *other}) == 8
    assert collected("gsm8k_t0.7", 4) == whole
    # Killed once the file was there: what was sampled is there still, and is not added again.
    last = tmp_path / "work" / "qwen2.5-coder-0.5b_gsm8k_t0.7.jsonl.gz"
    asked = tmp_path / "work" / "questions" / last.name
    for left in (last, asked):
        _write(left, [line for line in _lines(tmp_path / "out" / last.name) if line["id"] in whole[2:]])
    assert collected("gsm8k_t0.7", 6) == whole
    assert len(set(collected("gsm8k_t0.7", 6))) == 6
    assert len(collected("gsm8k_t1.0", 9)) == 3


@pytest.mark.filterwarnings("ignore:.*quantiz.*deprecated")
@pytest.mark.slow
def test_a_row_in_eight_bits_is_near_the_layer_and_does_not_depend_on_its_neighbours() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(64, 32)
    inputs = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = torch.nn.Sequential(layer)
        exact = whole(inputs)
        _module("int8").reckon_in_eight_bits(whole)
        eight = whole(inputs)
        assert (eight - exact).abs().max() < 0.03 * exact.abs().max()
        near = {"atol": 1e-4 * float(exact.abs().max()), "rtol": 0}
        torch.testing.assert_close(whole(inputs[:1]), eight[:1], **near)
        torch.testing.assert_close(whole(torch.cat([inputs, 100 * inputs]))[:8], eight, **near)


def _lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def _write(path: Path, lines: list[dict]) -> None:
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
