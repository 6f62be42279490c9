"""What a text is made of, as sorted arrays of 64-bit hashes: small to keep, quick to compare, equal on every machine."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memreward.parsing import numbers

Parts = NDArray[np.uint64]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_CACHED_TEXTS = 8192


def hashed(strings: Iterable[str]) -> Parts:
    """Return one hash per string, in order; lone surrogates are hashed too."""
    return np.array([zlib.crc32(s.encode("utf-8", "surrogatepass")) for s in strings], dtype=np.uint64)


@lru_cache(maxsize=_CACHED_TEXTS)
def number_parts(text: str) -> Parts:
    """Return the distinct numbers of `text`."""
    return np.unique(hashed(numbers(text)))


@lru_cache(maxsize=_CACHED_TEXTS)
def tokens(text: str) -> Parts:
    """Return the words and signs of `text` in order, letter case ignored."""
    return hashed(_TOKEN.findall(text.lower()))


@lru_cache(maxsize=4 * _CACHED_TEXTS)
def ngram_parts(text: str, n: int) -> Parts:
    """Return the distinct runs of `n` words or signs."""
    return np.unique(ngrams(text, n))


def ngrams(text: str, n: int) -> Parts:
    """Return all runs of `n` words or signs in order; none where `text` is shorter."""
    words = tokens(text)
    count = len(words) - n + 1
    if count <= 0:
        return words[:0]
    runs = np.zeros(count, dtype=np.uint64)
    for offset in range(n):
        runs = (runs + words[offset : offset + count]) * _MULTIPLIER
        runs ^= runs >> np.uint64(29)
    return runs
