"""Outlines: what a thinking process does with the numbers of its query, whatever these numbers are.

A thinking is reduced to its operators and numbers, and each number to where it comes from: the i-th number of the
query, the result of the j-th equation, a constant, or nowhere. So two rollouts to two instances of one template that
reason alike have like outlines. Where the query holds the head of a function, calls are tokens too, and its parameters
by their places.
"""

import math
import re
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np

from memreward.types import FloatArray, Rollout

DIMENSION = 64
"""Width of an outline vector."""
LONGEST = 600
"""Characters of a thinking that are looked at; its end, where the answer is made."""
TEMPLATE_DIMENSION = 256
"""Width of a question's template vector."""
ORDER = 3
"""Longest run of tokens that is one feature."""
SMALL = 12
"""Numbers up to this stand for themselves where they come from nowhere: halves, dozens, weekdays."""

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TOKEN = re.compile(rf"{_NUMBER.pattern}|[-+*/=×÷%^<>]|\\frac|\\times|\\cdot|\\div")
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")
_HEAD = re.compile(r"\bdef\s+(\w+)\s*\(([^()]*)\)")
_NAME = re.compile(r"[^\W\d]\w*")
_CODE_TOKEN = re.compile(rf"{_TOKEN.pattern}|[^\W\d]\w*\(?")
_PLACES = "abcdefgh"
"""What parameters are called by their places; those behind keep their own names."""
_SIGNS = frozenset("-+*/=×÷%^<>\\")
_SAME_SIGN = {"×": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/", "\\frac": "/"}


def outline_vectors(rollouts: Sequence[Rollout]) -> FloatArray:
    """Return (n, `DIMENSION`) float32 unit vectors, all zeros for a thinking without numbers or operators."""
    vectors = [_vector(r.query.text, r.thinking[-LONGEST:], r.answer or "") for r in rollouts]
    return _stacked(vectors, DIMENSION)


def template_vectors(texts: Sequence[str]) -> FloatArray:
    """Return (n, `TEMPLATE_DIMENSION`) float32 unit vectors of runs of one to three words, all numbers alike.

    The function whose head a question holds, and its parameters, are alike too; a run counts once, case does not.
    """
    return _stacked([_template(text) for text in texts], TEMPLATE_DIMENSION)


def outline(query_text: str, thinking: str, answer: str = "") -> list[str]:
    """Return the outline's tokens: signs, and numbers as `Q2`, `R1`, `=7` or `?`; the answer's origin comes last.

    >>> outline("Ann has 40 pens and buys 25.", "40 + 25 = 65", "65")
    ['Q0', '+', 'Q1', '=', 'R0', 'A:R0']
    >>> outline("def more(first, second):", "return max(first, second) + 1")
    ['max(', '§a', '§b', '+', '=1']
    """
    origin = dict(_origins(query_text))
    tokens: list[str] = []
    results = 0
    names = _names(query_text)
    for token in (_CODE_TOKEN if names else _TOKEN).findall(thinking[-LONGEST:]):
        if token[0].isdecimal():
            number = _normal(token)
            if tokens and tokens[-1] == "=" and number not in origin:
                origin[number] = f"R{results}"
                results += 1
            tokens.append(origin.get(number) or _constant(number))
        elif token[0] in _SIGNS:
            tokens.append(_SAME_SIGN.get(token, token))
        elif token.endswith("(") or token in names:
            tokens.append(names.get(token, token))
    final = _numbers(answer)
    return [*tokens, "A:" + (origin.get(final[-1]) or _constant(final[-1]))] if final else tokens


@lru_cache(maxsize=4_096)
def _origins(query_text: str) -> Mapping[str, str]:
    origins: dict[str, str] = {}
    for index, given in enumerate(_numbers(query_text)):
        origins.setdefault(given, f"Q{index}")
    return origins


@lru_cache(maxsize=4_096)
def _names(query_text: str) -> Mapping[str, str]:
    """What the last function whose head stands in a query, and its parameters, are called in every query."""
    heads = _HEAD.findall(query_text)
    if not heads:
        return {}
    function, parameters = heads[-1]
    given = [found.group() for part in parameters.split(",") if (found := _NAME.search(part))]
    return {function: "§"} | {name: f"§{place}" for name, place in zip(given, _PLACES, strict=False)}


def _numbers(text: str) -> list[str]:
    return [*map(_normal, _NUMBER.findall(text))]


def _normal(number: str) -> str:
    plain = number.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain.lstrip("0") or "0"


def _constant(number: str) -> str:
    return f"={number}" if number.isdigit() and len(number) < 3 and int(number) <= SMALL else "?"


@lru_cache(maxsize=8_192)
def _vector(query_text: str, thinking: str, answer: str) -> bytes:
    return _hashed(outline(query_text, thinking, answer), DIMENSION)


@lru_cache(maxsize=4_096)
def _template(text: str) -> bytes:
    if names := _names(text):
        text = _NAME.sub(lambda found: names.get(found.group(), found.group()), text)
    words = ["0" if word[0].isdigit() else word for word in _WORD.findall(text.lower())]
    return _hashed(["^", *words, "$"] if words else [], TEMPLATE_DIMENSION)


def _stacked(vectors: Sequence[bytes], dimension: int) -> FloatArray:
    return np.frombuffer(bytearray().join(vectors), dtype=np.float32).reshape(len(vectors), dimension)


def _hashed(tokens: Sequence[str], dimension: int) -> bytes:
    """Unit vector (float32) of the signed hashes of the runs of up to `ORDER` tokens, each counted once."""
    digests: set[int] = set()
    parts = [token.encode("utf-8", "surrogatepass") for token in tokens]
    ended = [*map(crc32, parts)]
    spaced = [b" " + part for part in parts]
    for length in range(1, ORDER + 1):
        digests.update(ended)
        ended = [*map(crc32, spaced[length:], ended)]  # each run with the token that follows it
    vector = [0.0] * dimension
    for digest in digests:
        vector[digest % dimension] += 1.0 if digest & 0x8000_0000 else -1.0
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return array("f", [value / norm for value in vector]).tobytes()
