"""The policy's own log-probabilities against a reader over the same weights."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from tiny_model import save_tiny_model, tiny_model, tiny_tokenizer

from memreward.features.cache import DictVectorStore, DiskVectorStore
from memreward.features.encoder import HashingEncoder
from memreward.features.featurizer import Featurizer
from memreward.features.policy_reader import PolicyReader
from memreward.features.reader import READER_NAMES, Reader, ReaderConfig
from memreward.policy.local import LocalSampler, Prompt
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, Query, Rollout

QUESTIONS = [Query(f"q{i}", f"What is {i} plus {i}?", "math") for i in range(4)]


def spelled(text: str) -> list[int]:
    return tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]


def sampled(model: Any, state_layer: int | None = None) -> list[Rollout]:
    """Rollouts of a tiny policy that its tokenizer spells as it did, with an "answer" somewhere in the text."""
    config = SamplingConfig("tiny", rollouts=12, temperature=1.3, top_p=1.0, max_new_tokens=24)
    sampler = LocalSampler(config, model=model, tokenizer=tiny_tokenizer(), state_layer=state_layer)
    prompts = [Prompt(query.id, tuple(tiny_tokenizer()(query.text)["input_ids"])) for query in QUESTIONS]
    groups = {group.id: group.samples for group in sampler.sample(prompts)}
    return [
        Rollout(
            query,
            s.text,
            s.text,
            s.text[3:5] or None,
            f"{query.id}/{i}",
            "step-1",
            s.token_logprobs,
            s.truncated,
            s.states,
        )
        for query in QUESTIONS
        for i, s in enumerate(groups[query.id])
        if s.text and s.text.isprintable() and spelled(s.text) == list(s.tokens[: None if s.truncated else -1])
    ]


@pytest.fixture(scope="module")
def rollouts() -> list[Rollout]:
    found = sampled(tiny_model())
    assert {rollout.truncated for rollout in found} == {True, False}
    return found


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = save_tiny_model(tmp_path_factory.mktemp("policy"))
    return Reader(ReaderConfig(str(folder), template="{query}"), DictVectorStore())


def test_readings_equal_those_of_a_reader_over_the_same_weights(rollouts: list[Rollout], reader: Reader) -> None:
    own = PolicyReader(tiny_tokenizer()).read(rollouts)
    other = reader.read(rollouts)
    np.testing.assert_allclose(own.values, other.values, atol=1e-4)
    assert own.names == other.names == READER_NAMES
    assert np.isfinite(own.values).any(axis=0).all()


def test_states_equal_those_of_a_reader_over_the_same_weights(tmp_path: Path) -> None:
    """The stop token is read by neither; a rollout that the limit ended lacks its last token here."""
    settings = ReaderConfig(str(save_tiny_model(tmp_path)), template="{query}", pooling="both")
    reader = Reader(settings, DictVectorStore())
    ended = [r for r in sampled(tiny_model(), state_layer=reader.layer) if not r.truncated]
    own = PolicyReader(tiny_tokenizer(), states=DictVectorStore(), width=reader.hidden_size).read(ended)
    assert own.hidden.shape == (len(ended), 64)
    assert len(ended) > 3
    np.testing.assert_allclose(own.hidden, reader.read(ended).hidden, atol=1e-4)


def test_states_are_kept_for_the_next_time_and_read_by_the_other_where_nobody_brought_them(tmp_path: Path) -> None:
    settings = ReaderConfig(str(save_tiny_model(tmp_path)), template="{query}", pooling="both")
    reader = Reader(settings, DictVectorStore())
    brought = sampled(tiny_model(), state_layer=reader.layer)
    from_memory = [replace(rollout, states=None) for rollout in brought]
    store = DiskVectorStore("states", tmp_path)

    def read(rollouts: list[Rollout], other: Any = None) -> Any:
        return PolicyReader(tiny_tokenizer(), other, states=store, width=reader.hidden_size).read(rollouts)

    first = brought[::2]
    seen = read(first).hidden
    assert np.abs(seen).max(axis=1).all()
    np.testing.assert_array_equal(read(from_memory[::2]).hidden, seen)  # another process, after an interruption
    assert not read(from_memory[1::2]).hidden.any()
    mixed = read(from_memory, reader).hidden
    np.testing.assert_array_equal(mixed[::2], seen)
    np.testing.assert_allclose(mixed[1::2], reader.read(brought[1::2]).hidden)


def test_rollouts_of_an_older_policy_keep_their_reading(rollouts: list[Rollout], reader: Reader) -> None:
    """The reader's weights are those of step 1; what another policy sampled is not read with them."""
    older = [replace(r, id=f"old-{r.id}", policy_version="step-0") for r in sampled(tiny_model(seed=5))]

    class Refusing:
        def read(self, rollouts: list[Rollout]) -> Any:
            raise AssertionError("read again")

    policy = PolicyReader(tiny_tokenizer(), Refusing())
    together = policy.read([*rollouts, *older]).values
    np.testing.assert_array_equal(together[: len(rollouts)], policy.read(rollouts).values)
    assert not np.allclose(together[len(rollouts) :], reader.read(older).values, atol=1e-2, equal_nan=True)


def test_what_brings_no_log_probabilities_is_read_by_the_other(rollouts: list[Rollout], reader: Reader) -> None:
    mixed = [replace(r, token_logprobs=None) if i % 2 else r for i, r in enumerate(rollouts)]
    np.testing.assert_allclose(
        PolicyReader(tiny_tokenizer(), reader).read(mixed).values, reader.read(rollouts).values, atol=1e-4
    )
    alone = PolicyReader(tiny_tokenizer()).read(mixed).values
    assert np.isnan(alone[1::2]).all()
    assert np.isfinite(alone[::2, 0]).all()


def test_another_spelling_counts_as_thinking() -> None:
    rollout = Rollout(QUESTIONS[0], "so 42", "so 42", "42", "r", token_logprobs=(-1.0, -5.0, -0.5), truncated=False)
    values = dict(zip(READER_NAMES, PolicyReader(tiny_tokenizer()).read([rollout]).values[0], strict=True))
    assert values["reader_logprob_mean"] == values["reader_thinking_logprob_mean"] == -3.0  # without the stop token
    assert values["reader_unlikely_share"] == 0.5
    assert np.isnan(values["reader_answer_logprob_mean"])


def test_it_is_a_reader_of_the_featurizer_and_can_be_sent(rollouts: list[Rollout]) -> None:
    policy = pickle.loads(pickle.dumps(PolicyReader(tiny_tokenizer())))
    featurizer = Featurizer(HashingEncoder(), policy)
    features = featurizer.features(rollouts)
    start = features.evidence_names.index(READER_NAMES[0])
    np.testing.assert_array_equal(features.evidence[:, start:], policy.read(rollouts).values)
    assert featurizer.reader_seconds > 0
    assert PolicyReader(tiny_tokenizer()).read([]).values.shape == (0, len(READER_NAMES))


def test_a_tokenizer_without_places_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ConfigurationError, match="no character positions"):
        PolicyReader(Slow())
