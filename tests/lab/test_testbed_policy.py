"""The embedded policy: taught the same from the same seed, written and read back, a starting point made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from alike import FLOAT32
from lab.testbed.config import PolicyConfig, StartConfig
from lab.testbed.measure import accuracy, mean_by_domain
from lab.testbed.policy import build_tokenizer, load_policy, save_policy, teach
from lab.testbed.questions import draw_split
from lab.testbed.start import EXPERIENCE, FOREIGN, TEST, make_start
from memreward.domains import cluster_answers
from memreward.evaluation.metrics import roc_auc
from memreward.types import ConfigurationError, Group, Query, Rollout, StoreError, Truth

pytestmark = pytest.mark.slow  # torch takes seconds to load

SHIPPED = Path(__file__).resolve().parents[2] / "examples" / "testbed"
TINY = PolicyConfig(width=16, layers=1, heads=2, steps=6, batch=4)
START = StartConfig(train=12, test=12, foreign=3, rollouts=3, policy=TINY)


def silent(*_: object) -> None:
    pass


def test_teaching_is_repeatable_heeds_its_seed_and_survives_a_save(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    model, tokenizer = teach(TINY, frozenset(), lambda _, done, of: seen.append((done, of)))
    assert seen == [(step, 6) for step in range(1, 7)]
    ids = torch.tensor([tokenizer("What is 7+3*8?\n").input_ids])
    save_policy(tmp_path / "policy", model, tokenizer, TINY)
    read, _ = load_policy(tmp_path / "policy")
    again, _ = teach(TINY, frozenset())
    other, _ = teach(replace(TINY, seed=1), frozenset())
    logits = [one(ids).logits for one in (model, read, again, other)]
    for same in logits[1:3]:
        torch.testing.assert_close(logits[0], same, atol=FLOAT32, rtol=0)
    assert (logits[0] - logits[3]).abs().max() > 100 * FLOAT32


def test_a_policy_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the policy"):
        load_policy(tmp_path)


def test_a_starting_point_is_made_once_and_others_are_refused(tmp_path: Path) -> None:
    start = make_start(START, tmp_path / "s", silent)
    experience = start.groups(EXPERIENCE)
    assert [len(experience), len(start.groups(TEST)), len(start.groups(FOREIGN))] == [12, 12, 3]
    assert all(len(group.rollouts) == len(group.truth.correct) == 3 for group in experience)
    assert not any(group.rollouts for group in start.groups(TEST))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    make_start(START, tmp_path / "s", silent)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == before
    other = replace(START, policy=replace(TINY, steps=7))
    with pytest.raises(ConfigurationError, match=r"policy\.steps=6, not 7"):
        make_start(other, tmp_path / "s", silent)


def test_a_starting_point_that_was_left_half_made_is_not_finished_with_other_settings(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(stage: str, done: int, of: int) -> None:
        if stage.startswith("sampling"):
            raise Killed

    with pytest.raises(Killed):
        make_start(START, tmp_path, kill)
    with pytest.raises(ConfigurationError, match=r"seed=0, not 1"):
        make_start(replace(START, seed=1), tmp_path, silent)
    taught = (tmp_path / "policy" / "model.safetensors").stat().st_mtime_ns
    start = make_start(START, tmp_path, silent)
    assert (tmp_path / "policy" / "model.safetensors").stat().st_mtime_ns == taught
    assert len(start.groups(EXPERIENCE)) == 12


def test_the_shipped_starting_point_is_that_of_the_defaults() -> None:
    start = make_start(StartConfig(), SHIPPED, silent)
    split = draw_split(0, train=96, test=240, foreign=120)
    parts = ((EXPERIENCE, split.train, 96), (TEST, split.test, 235), (FOREIGN, split.foreign, 120))
    for part, drawn, count in parts:
        shipped = [(g.query, g.truth.reference) for g in start.groups(part)]
        # Five that asked what a training question asks were taken out; they are drawn otherwise now.
        assert len(shipped) == count
        assert shipped == [pair for g in drawn if (pair := (g.query, g.truth.reference)) in shipped]
    groups = start.groups(EXPERIENCE)
    rates = accuracy(groups)
    assert 0.35 < sum(rates.values()) / len(rates) < 0.55
    votes = [_votes(group) for group in groups]
    right = [c is True for group in groups for c in group.truth.correct]
    assert 0.80 < roc_auc(np.concatenate(votes), np.array(right, np.int8)) < 0.95
    wrong = [group.truth.correct[int(np.argmax(vote))] is not True for group, vote in zip(groups, votes, strict=True)]
    assert sum(wrong) / len(wrong) >= 0.1
    model, tokenizer = load_policy(start.policy)
    assert 8e5 < model.num_parameters() < 1.2e6
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()


def _votes(group: Group) -> list[float]:
    members = cluster_answers([rollout.answer for rollout in group.rollouts], group.query.domain)
    return [members.count(member) / len(members) if member >= 0 else 0.0 for member in members]


def test_accuracy_counts_what_cannot_be_told_as_not_right() -> None:
    query = Query("q", "What is 1+1?", "math")
    rollouts = tuple(Rollout(query, "2", "", "2", f"r{i}") for i in range(4))
    group = Group(query, rollouts, Truth("2", (True, False, None, True)))
    assert accuracy([group]) == {"q": 0.5}
    assert mean_by_domain({"a": 1.0, "b": 0.0, "c": 0.5}, {"a": "math", "b": "math", "c": "qa"}) == {
        "math": 0.5,
        "qa": 0.5,
    }


def test_special_pieces_of_the_tokenizer_differ() -> None:
    tokenizer = build_tokenizer()
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id}) == 4
