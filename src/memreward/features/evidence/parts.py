"""What a text is made of, as arrays of 64-bit hashes: small to keep, quick to compare, equal on every machine."""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memreward.domains.math.arithmetic import arithmetic_statements, numbers

Parts = NDArray[np.uint64]

CACHED_TEXTS = 8192
"""Texts whose parts each cache keeps."""
ENDING = 40
"""Pairs of words that count as the end of a thinking."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PIECES_KEPT = 1 << 16
_LONG = 64
"""Characters of a chunk that is not kept."""
NOTHING: Parts = np.zeros(0, dtype=np.uint64)


def _hash(string: str) -> int:
    return zlib.crc32(string.encode("utf-8", "surrogatepass"))


# Texts are taken apart between blanks, where no token and no number goes on: most pieces were met before.
@lru_cache(maxsize=_PIECES_KEPT)
def _pieces(chunk: str) -> tuple[bytes, bytes]:
    """The hashes of a chunk's words and signs, and those of its numbers, packed."""
    return hashed(_TOKEN.findall(chunk.lower())).tobytes(), hashed(numbers(chunk)).tobytes()


def _unpacked(text: str) -> tuple[Parts, Parts]:
    """The hashes of all words and signs of a text, and of all its numbers, in order."""
    pieces = [_pieces(chunk) if len(chunk) < _LONG else _pieces.__wrapped__(chunk) for chunk in text.split()]
    words, found = zip(*pieces, strict=True) if pieces else ((), ())
    return np.frombuffer(b"".join(words), np.uint64), np.frombuffer(b"".join(found), np.uint64)


@dataclass(frozen=True, slots=True)
class ThinkingParts:
    """What is compared of a thinking.

    Attributes:
        words: Distinct pairs of neighbouring words or signs, letter case ignored.
        ending: The distinct ones among its last `ENDING` pairs.
        numbers: Distinct numbers.
        arithmetic: How many of its arithmetic statements are true, and how many are false.
        results: How many different single numbers its arithmetic statements come to.
        shown: Distinct numbers that stand behind the equals sign of a true one.
    """

    words: Parts
    ending: Parts
    numbers: Parts
    arithmetic: tuple[int, int]
    results: int
    shown: Parts


@lru_cache(maxsize=CACHED_TEXTS)
def thinking_parts(text: str, *, numeric: bool) -> ThinkingParts:
    """Take a thinking apart; numbers and arithmetic are looked for only where it is `numeric`."""
    tokens, found = _unpacked(text)
    pairs = _pairs(tokens)
    words, ending = distinct(pairs), distinct(pairs[-ENDING:])
    if not numeric:
        return ThinkingParts(words, ending, NOTHING, (0, 0), 0, NOTHING)
    statements = arithmetic_statements(text)
    true = sum(verdict for _, verdict in statements)
    sides = [(numbers(statement.partition(" = ")[2]), verdict) for statement, verdict in statements]
    results = {side[0].lstrip("-") for side, _ in sides if len(side) == 1}
    shown = {number.lstrip("-") for side, verdict in sides if verdict for number in side}
    return ThinkingParts(
        words,
        ending,
        distinct(found),
        (true, len(statements) - true),
        len(results),
        distinct(hashed(shown)),
    )


def word_pairs(text: str) -> Parts:
    """Return the distinct pairs of neighbouring words or signs, letter case ignored."""
    return distinct(_pairs(_unpacked(text)[0]))


def distinct(hashes: Parts) -> Parts:
    """Return what `np.unique` does, for the short arrays of one text in a third of the time."""
    ordered = np.sort(hashes)
    return np.concatenate([ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]])


def hashed(strings: Iterable[str]) -> Parts:
    """Return one hash per string, in order; lone surrogates are hashed too."""
    return np.fromiter(map(_hash, strings), dtype=np.uint64)


def _pairs(words: Parts) -> Parts:
    """All pairs of neighbours in order; none where there is but one."""
    mixed = words[:-1] * _MULTIPLIER
    mixed ^= mixed >> np.uint64(29)
    mixed = (mixed + words[1:]) * _MULTIPLIER
    mixed ^= mixed >> np.uint64(29)
    return mixed
