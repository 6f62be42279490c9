"""Encoders: windows against the model itself, a cache that processes share and that survives them."""

from __future__ import annotations

import json
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.features.cache import (
    VectorStore,
    default_cache_folder,
)
from memreward.network.encoder import (
    NgramEncoder,
    SentenceEncoder,
    load_encoder,
)
from memreward.types import ConfigurationError, Encoder, SchemaVersionError, StoreError, content_hash

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
def test_a_model_from_a_folder(minilm: SentenceEncoder, tmp_path: Path) -> None:
    minilm._model.save(str(tmp_path / "own"), create_model_card=False)
    own = SentenceEncoder(str(tmp_path / "own"))
    np.testing.assert_allclose(own.encode(["a", words(300)]), minilm.encode(["a", words(300)]), atol=1e-5)


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
import numpy as np
from memreward.features.cache import VectorStore
from memreward.types import content_hash
first, end, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for i in range(first, end):
    VectorStore("n", folder).put([content_hash(f"text {i}")], np.full((1, 2), i, np.float32))
    print(i, flush=True)
"""


def writer(first: int, end: int, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITE, str(first), str(end), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    with writer(0, 60, tmp_path) as one, writer(30, 90, tmp_path) as other:
        assert one.wait() == other.wait() == 0
    store = VectorStore("n", tmp_path)
    found = store.get([content_hash(f"text {i}") for i in range(91)])
    assert len(found) == len(store) == 90
    assert all(found[content_hash(f"text {i}")].tolist() == [i, i] for i in range(90))


def test_a_killed_process_leaves_a_cache_that_reads_and_takes_more(tmp_path: Path) -> None:
    with writer(0, 100_000, tmp_path) as process:
        assert process.stdout is not None
        finished = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.send_signal(signal.SIGKILL)
    store = VectorStore("n", tmp_path)
    known = [content_hash(f"text {i}") for i in range(finished + 1)]
    assert set(store.get(known)) == set(known)  # what was reported as done is there
    store.put([content_hash("after the kill")], np.ones((1, 2), np.float32))
    assert content_hash("after the kill") in store.get([content_hash("after the kill")])
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
    code = "from memreward.network.encoder import *; print(NgramEncoder(4).encode(['a b', '\\ud800']).tolist())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    np.testing.assert_array_equal(np.float32(json.loads(printed)), NgramEncoder(4).encode(["a b", "\ud800"]))


@given(st.lists(st.text(alphabet=st.characters(), max_size=30), max_size=5))
def test_hashed_vectors_are_unit_or_zero(texts: list[str]) -> None:
    norms = np.linalg.norm(NgramEncoder(8).encode(texts), axis=1)
    assert np.all((np.abs(norms - 1) < 1e-5) | (norms == 0))


def test_load_encoder() -> None:
    assert load_encoder("ngrams").dimension == 512
    assert load_encoder("ngrams").name == "ngrams-512"
