"""What passes between a solution and its tests: plain values survive it, and whatever else comes is refused."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.sandbox.inside.plain import LONGEST_MESSAGE, Handles, Malformed, decode, encode, receive

TAGS = [*"itsfqdbBcrDFna", "h", "type", "unknown"]
TEXTS = ["", "a", "1/0", "0x10", "NaN", "sNaN", "1e999999999", "\ud800", "٣", "1/2/3", "0x" + "f" * 50]
SCALARS = st.sampled_from([*TEXTS, None, True, 0, -1, 2.5, float("inf"), float("nan"), 10**30])
FORMS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TAGS), inner, min_size=0, max_size=2),
    max_leaves=12,
)
KEYS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.fractions()
VALUES = st.recursive(
    KEYS | st.floats(allow_nan=False) | st.decimals(allow_nan=False) | st.builds(range, st.integers(-9, 9)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
        | st.binary(max_size=3).map(bytearray)
    ),
    max_leaves=10,
)


@given(FORMS)
def test_whatever_a_solution_sends_is_a_value_or_refused(form: Any) -> None:
    start = time.process_time()
    with suppress(Malformed):
        decode(form, lambda handle: object())
    assert time.process_time() - start < 1


@given(VALUES)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    back = decode(encode(value, Handles().keep), pytest.fail)
    assert back == value
    assert type(back) is type(value)


def test_numbers_and_bytes_are_exact() -> None:
    for value in (Decimal("1.50"), Fraction(1, 3), 1 << 20_000, complex(1, -2), b"\xff", range(0, 9, 2)):
        back = decode(encode(value, Handles().keep), pytest.fail)
        assert back == value
        assert type(back) is type(value)


def test_a_message_that_says_it_is_too_long_is_refused_unread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack(">I", LONGEST_MESSAGE + 1))
        theirs.close()
        with pytest.raises(Malformed, match=f"{LONGEST_MESSAGE + 1} bytes"):
            receive(ours)
