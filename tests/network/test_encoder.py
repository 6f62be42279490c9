"""Encoders: windows against the model itself, each text once, a cache that processes share and that survives them."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.features.cache import (
    VectorStore,
    default_cache_folder,
    model_fingerprint,
)
from memreward.network.encoder import (
    CachedEncoder,
    NgramEncoder,
    SentenceEncoder,
    load_encoder,
    unit_rows,
)
from memreward.types import ConfigurationError, Encoder, FloatArray, SchemaVersionError, StoreError, content_hash

STORES = ["dict", "disk"]


@pytest.fixture(scope="module")
def minilm() -> Iterator[SentenceEncoder]:
    pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield SentenceEncoder()
    torch.set_num_threads(before)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> VectorStore:
    return VectorStore.in_memory() if request.param == "dict" else VectorStore("ngrams-64", tmp_path)


class CountingEncoder:
    name, dimension = "ngrams-64", 64

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.seen += texts
        return NgramEncoder(64).encode(texts)


def words(count: int, start: int = 0) -> str:
    """Numbers of four digits, two word pieces or one each; which does not matter, they differ."""
    return " ".join(str(1000 + 7 * i) for i in range(start, start + count))


@pytest.mark.slow
def test_minilm_gives_unit_vectors_and_similar_sentences_are_nearer(minilm: SentenceEncoder) -> None:
    vectors = minilm.encode(["The cat sat on the mat.", "A cat is sitting on a rug.", "Interest rates rose in May."])
    assert isinstance(minilm, Encoder)
    assert vectors.shape == (3, minilm.dimension) == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


@pytest.mark.slow
def test_a_short_text_is_the_models_own_vector(minilm: SentenceEncoder) -> None:
    texts = ["", "short", "two words", words(80), "a\n\n  b"]
    np.testing.assert_allclose(minilm.encode(texts), minilm._model.encode(texts), atol=1e-5)


@pytest.mark.slow
def test_a_long_text_is_the_weighted_mean_of_its_windows(minilm: SentenceEncoder) -> None:
    tokenizer = minilm._model.tokenizer
    text = words(400)
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    length, step = minilm.max_tokens - 2, minilm.max_tokens - 2 - 32
    starts = list(range(0, max(1, len(ids) - 32), step))
    assert len(starts) >= 3
    windows = [ids[start : start + length] for start in starts]
    vectors = np.stack([plain_vector(minilm, [101, *window, 102]) for window in windows])
    weights = np.array([len(window) - 32 * (i > 0) for i, window in enumerate(windows)])
    assert weights.sum() == len(ids)
    np.testing.assert_allclose(minilm.encode([text])[0], unit_rows((weights @ vectors)[None])[0], atol=1e-5)


def plain_vector(encoder: SentenceEncoder, ids: list[int]) -> FloatArray:
    import torch

    batch = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    with torch.inference_mode():
        return encoder._model(batch)["sentence_embedding"][0].numpy()


@pytest.mark.slow
def test_the_tail_of_a_long_text_counts(minilm: SentenceEncoder) -> None:
    head = words(600)
    cut, tail, other_tail = minilm.encode([head, f"{head} so it is wrong", f"{head} and the answer is a green apple"])
    assert np.abs(tail - cut).max() > 1e-4
    assert np.abs(tail - other_tail).max() > 1e-4
    assert tail @ other_tail > 0.95


@pytest.mark.slow
def test_order_and_batch_change_nothing(minilm: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", "one", words(300), "two words", words(150, 5), words(260), "one"]
    wanted = minilm.encode(texts)
    monkeypatch.setattr("memreward.network.encoder._WINDOWS_A_PASS", 2)
    order = [4, 2, 6, 0, 1, 5, 3]
    shuffled = minilm.encode([texts[i] for i in order])
    monkeypatch.undo()
    np.testing.assert_allclose(shuffled, wanted[order], atol=1e-5)
    np.testing.assert_allclose(minilm.encode(texts[2:3]), wanted[2:3], atol=1e-5)


@pytest.mark.slow
def test_any_string_is_encoded(minilm: SentenceEncoder) -> None:
    texts = ["\ud800", "a \udfff b", "\x00", "naïve 答案 🙂", "x" * 100_000, ("word " * 20_000)[:100_000]]
    vectors = minilm.encode(texts)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(minilm.encode(["", ""])[0], minilm.encode([""])[0], atol=1e-5)
    assert minilm.encode([]).shape == (0, 384)


@pytest.mark.slow
def test_an_unknown_model_is_not_looked_for_on_a_network() -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigurationError, match="cannot load the sentence-transformers model 'no/such-model'"):
        SentenceEncoder("no/such-model")


@pytest.mark.slow
def test_a_model_from_a_folder_is_named_by_its_content(minilm: SentenceEncoder, tmp_path: Path) -> None:
    minilm._model.save(str(tmp_path / "own"), create_model_card=False)
    own = SentenceEncoder(str(tmp_path / "own"))
    np.testing.assert_allclose(own.encode(["a", words(300)]), minilm.encode(["a", words(300)]), atol=1e-5)
    fingerprint = model_fingerprint(tmp_path / "own")
    assert own.name.startswith(f"own-{fingerprint}/")
    shutil.copytree(tmp_path / "own", tmp_path / "elsewhere" / "own")
    assert model_fingerprint(tmp_path / "elsewhere" / "own") == fingerprint
    weights = tmp_path / "own" / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    assert model_fingerprint(tmp_path / "own") != fingerprint


def test_each_text_is_encoded_once_in_a_call_and_over_calls(store: VectorStore) -> None:
    inner = CountingEncoder()
    encoder = CachedEncoder(inner, store)
    texts = ["a b", "c", "a b", "", "\ud800", "c", "?"]
    first = encoder.encode(texts)
    assert sorted(inner.seen) == sorted(set(texts))
    np.testing.assert_array_equal(first, NgramEncoder(64).encode(texts))
    second = encoder.encode(["new", *texts[::-1]])
    assert inner.seen[5:] == ["new"]
    np.testing.assert_array_equal(second[1:], first[::-1])
    assert encoder.encode([]).shape == (0, 64)
    assert (encoder.name, encoder.dimension) == (inner.name, inner.dimension)


def test_an_interrupted_encode_keeps_what_was_done(store: VectorStore) -> None:
    class Interrupted(CountingEncoder):
        def encode(self, texts: Sequence[str]) -> FloatArray:
            if self.seen:
                raise KeyboardInterrupt
            return super().encode(texts)

    texts = [f"text {i}" for i in range(1000)]
    first, second = Interrupted(), CountingEncoder()
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(first, store).encode(texts)
    CachedEncoder(second, store).encode(texts)
    assert len(first.seen) > 0
    assert sorted(first.seen + second.seen) == sorted(texts)


def test_a_store_of_another_encoder_is_refused(store: VectorStore) -> None:
    CachedEncoder(NgramEncoder(32), store).encode(["a"])
    with pytest.raises(ConfigurationError, match="holds vectors of length 32, the encoder makes 64"):
        CachedEncoder(NgramEncoder(64), store).encode(["a", "b"])


def test_namespaces_do_not_meet(tmp_path: Path) -> None:
    one, other = VectorStore("one", tmp_path), VectorStore("other", tmp_path)
    key = content_hash("text")
    one.put([key], np.ones((1, 3), np.float32))
    assert other.get([key]) == {}
    other.put([key], np.zeros((1, 5), np.float32))
    np.testing.assert_array_equal(one.get([key])[key], np.ones(3))
    assert (len(one), len(other)) == (1, 1)


def test_a_store_keeps_the_first_vector_and_takes_many_hashes(store: VectorStore) -> None:
    keys = [content_hash(str(i)) for i in range(2500)]
    vectors = np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
    store.put(keys[:2000], vectors[:2000])
    store.put(keys, vectors + np.r_[np.ones((2000, 1)), np.zeros((500, 1))].astype(np.float32))
    found = store.get([*keys, content_hash("unknown")])
    assert set(found) == set(keys)
    np.testing.assert_array_equal(np.stack([found[key] for key in keys]), vectors)


WRITE = """
import sys
from memreward.features.cache import VectorStore
from memreward.network.encoder import CachedEncoder, NgramEncoder
first, end, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for i in range(first, end):
    encoder = CachedEncoder(NgramEncoder(64), VectorStore("ngrams-64", folder))
    encoder.encode([f"text {i}", f"text {i + 1}"])
    print(i, flush=True)
"""


def writer(first: int, end: int, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE, str(first), str(end), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_cache_survives_its_process(tmp_path: Path) -> None:
    with writer(0, 3, tmp_path) as process:
        assert process.wait() == 0
    inner = CountingEncoder()
    vectors = CachedEncoder(inner, VectorStore("ngrams-64", tmp_path)).encode(["text 0", "text 3", "text 4"])
    assert inner.seen == ["text 4"]
    np.testing.assert_array_equal(vectors, NgramEncoder(64).encode(["text 0", "text 3", "text 4"]))


@pytest.mark.slow
def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    with writer(0, 60, tmp_path) as one, writer(30, 90, tmp_path) as other:
        assert one.wait() == other.wait() == 0
    store = VectorStore("ngrams-64", tmp_path)
    texts = [f"text {i}" for i in range(91)]
    found = store.get([content_hash(text) for text in texts])
    assert len(found) == len(store) == 91
    np.testing.assert_array_equal(
        np.stack([found[content_hash(text)] for text in texts]), NgramEncoder(64).encode(texts)
    )


def test_a_killed_process_leaves_a_cache_that_reads_and_takes_more(tmp_path: Path) -> None:
    with writer(0, 100_000, tmp_path) as process:
        assert process.stdout is not None
        finished = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.send_signal(signal.SIGKILL)
    store = VectorStore("ngrams-64", tmp_path)
    known = [content_hash(f"text {i}") for i in range(finished + 2)]
    assert set(store.get(known)) == set(known)  # what was reported as done is there
    inner = CountingEncoder()
    CachedEncoder(inner, store).encode(["text 0", "after the kill"])
    assert inner.seen == ["after the kill"]
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_disk_store_crosses_processes_by_pickle(tmp_path: Path) -> None:
    store = VectorStore("n", tmp_path)
    store.put([content_hash("a")], np.ones((1, 2), np.float32))
    assert content_hash("a") in pickle.loads(pickle.dumps(store)).get([content_hash("a")])


def test_a_broken_or_newer_cache_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"vectors\.sqlite.*delete the file"):
        VectorStore("n", tmp_path)
    path.unlink()
    VectorStore("n", tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaVersionError, match="schema version 99"):
        VectorStore("n", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cache cannot be made.*another local folder"):
        VectorStore("n", tmp_path / "file" / "folder")


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "mine"))
    assert VectorStore("n").path == tmp_path / "mine" / "vectors.sqlite"
    monkeypatch.delenv("MEMREWARD_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_folder() == tmp_path / "xdg" / "memreward"


def test_ngrams_tell_templates_apart_and_not_their_numbers() -> None:
    less, again, more, empty = NgramEncoder().encode(
        ["Which number is 8 less than 54?", "Which number is 31 less than 9?", "Which number is 8 more than 54?", ""]
    )
    assert less @ again == pytest.approx(1)
    assert less @ more < 0.75
    assert not empty.any()
    code = (
        "from memreward.network.encoder import *; print(load_encoder('ngrams-4').encode(['a b', '\\ud800']).tolist())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    np.testing.assert_array_equal(np.float32(json.loads(printed)), NgramEncoder(4).encode(["a b", "\ud800"]))


@given(st.lists(st.text(alphabet=st.characters(), max_size=30), max_size=5))
def test_hashed_vectors_are_unit_or_zero(texts: list[str]) -> None:
    norms = np.linalg.norm(NgramEncoder(8).encode(texts), axis=1)
    assert np.all((np.abs(norms - 1) < 1e-5) | (norms == 0))


def test_load_encoder() -> None:
    assert load_encoder("ngrams").dimension == 512
    assert load_encoder("ngrams-128").name == "ngrams-128"
