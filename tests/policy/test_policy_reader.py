"""The policy's own log-probabilities against a reader over the same weights."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
sys.path.append(str(Path(__file__).resolve().parents[1] / "policy"))

from tiny_model import save_tiny_model, tiny_model, tiny_tokenizer

from memreward.features.cache import DictVectorStore
from memreward.features.featurizer import Featurizer
from memreward.network.encoder import HashingEncoder
from memreward.policy.local import LocalSampler, Prompt
from memreward.policy.policy_reader import PolicyReader
from memreward.policy.prompts import chat_of, load_template
from memreward.policy.reader import Reader, ReaderConfig
from memreward.policy.readings import READER_NAMES
from memreward.policy.sampler import Chat
from memreward.policy.settings import SamplingConfig
from memreward.types import ConfigurationError, Query, Rollout

QUESTIONS = [Query(f"q{i}", f"What is {i} plus {i}?", "math") for i in range(4)]


def spelled(text: str) -> list[int]:
    return tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]


def sampled(model: Any, templates: str = "") -> list[Rollout]:
    """Rollouts of a tiny policy that its tokenizer spells as it did, with an "answer" somewhere in the text.

    They answer the bare question, or where there is a folder of templates the chat made with these.
    """
    config = SamplingConfig("tiny", rollouts=12, temperature=1.3, top_p=1.0, max_new_tokens=24)
    sampler = LocalSampler(config, model=model, tokenizer=tiny_tokenizer())
    prompts = [Prompt(query.id, tuple(tiny_tokenizer()(query.text)["input_ids"])) for query in QUESTIONS]
    if templates:
        chats = [load_template(query, templates).messages(query.text) for query in QUESTIONS]
        prompts = sampler.prompts([Chat(q.id, "math", chat) for q, chat in zip(QUESTIONS, chats, strict=True)])
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


@pytest.fixture
def templates(tmp_path: Path) -> str:
    shots = [{"question": "What is 20 plus 3?", "answer": "#### 23"}]
    (tmp_path / "math.json").write_text(json.dumps({"system": "Count.", "shots": shots}), encoding="utf-8")
    return str(tmp_path)


def test_rollouts_of_a_chat_are_read_in_it(tmp_path: Path, templates: str) -> None:
    """What sampling saw, under system message and worked example; the store tells it from the bare question."""
    settings = ReaderConfig(str(save_tiny_model(tmp_path / "policy")))
    store = DictVectorStore()
    bare = Reader(settings, store)
    reader = Reader(settings, store, chat=partial(chat_of, folder=templates))
    ended = [r for r in sampled(tiny_model(), templates) if not r.truncated]
    assert len(ended) > 3
    elsewhere = bare.read(ended)
    own = PolicyReader(tiny_tokenizer()).read(ended)
    from_file = pickle.loads(pickle.dumps(reader)).read(ended)
    again = reader.read(ended)
    for read in (from_file, again):
        np.testing.assert_allclose(read.values, own.values, atol=1e-4)
    assert np.nanmax(np.abs(elsewhere.values - own.values)) > 0.1
    assert bare.name != reader.name  # which is where each keeps what it read, unless told otherwise


def test_a_changed_template_is_read_anew(tmp_path: Path, templates: str) -> None:
    settings = ReaderConfig(str(save_tiny_model(tmp_path / "policy")))
    reader = Reader(settings, DictVectorStore(), chat=partial(chat_of, folder=templates))
    rollout = Rollout(QUESTIONS[0], "#### 0", "#### 0", "0", "r")
    before = reader.read([rollout]).values
    (Path(templates) / "math.json").write_text('{"system": "", "shots": []}', encoding="utf-8")
    after = reader.read([rollout]).values
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_array_equal(after, Reader(settings, DictVectorStore()).read([rollout]).values)


def test_a_chat_that_cannot_be_put_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    with pytest.raises(ConfigurationError, match="give one of them"):
        Reader(ReaderConfig(str(folder), template="{query}"), DictVectorStore(), chat=chat_of)
    tiny_tokenizer(chat=False).save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ConfigurationError, match="no chat template"):
        Reader(ReaderConfig(str(folder)), DictVectorStore(), chat=chat_of).read(
            [Rollout(QUESTIONS[0], "0", "0", "0", "r")]
        )


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
