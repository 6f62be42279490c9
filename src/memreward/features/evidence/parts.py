"""What a text is made of, as arrays of 64-bit hashes: small to keep, quick to compare, equal on every machine."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memreward.parsing import numbers

Parts = NDArray[np.uint64]

CACHED_TEXTS = 8192
"""Texts whose parts each cache keeps."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def hashed(strings: Iterable[str]) -> Parts:
    """Return one hash per string, in order; lone surrogates are hashed too."""
    return np.array([zlib.crc32(s.encode("utf-8", "surrogatepass")) for s in strings], dtype=np.uint64)


@lru_cache(maxsize=CACHED_TEXTS)
def number_parts(text: str) -> Parts:
    """Return the distinct numbers of `text`."""
    return np.unique(hashed(numbers(text)))


@lru_cache(maxsize=CACHED_TEXTS)
def word_pairs(text: str) -> Parts:
    """Return the distinct pairs of neighbouring words or signs, letter case ignored."""
    return np.unique(runs(text, 2))


@lru_cache(maxsize=CACHED_TEXTS)
def ending_pairs(text: str, last: int) -> Parts:
    """Return the distinct pairs among the `last` ones of the text."""
    return np.unique(runs(text, 2)[-last:])


def runs(text: str, length: int) -> Parts:
    """Return all runs of `length` neighbouring words or signs in order; none where `text` is shorter."""
    words = _words(text)
    count = max(len(words) - length + 1, 0)
    mixed = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        mixed = (mixed + words[offset : offset + count]) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
    return mixed


@lru_cache(maxsize=CACHED_TEXTS)
def _words(text: str) -> Parts:
    return hashed(_TOKEN.findall(text.lower()))
