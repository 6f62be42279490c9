from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memreward.unicode import escape_surrogates, restore_surrogates

anything = st.text(st.characters(codec=None) | st.sampled_from("\ud800\udfff\ufdd0df08\U0001f600"))


@given(anything)
def test_every_string_becomes_utf8_and_comes_back(text: str) -> None:
    escaped = escape_surrogates(text)
    assert escaped.encode().decode() == escaped
    assert restore_surrogates(escaped) == text


@given(anything, anything)
def test_two_strings_never_become_one(one: str, other: str) -> None:
    assert (escape_surrogates(one) == escape_surrogates(other)) == (one == other)


def test_text_that_is_utf8_stays_as_it_is() -> None:
    text = "naïve ∑ 😀 \x00 \u2028"
    assert escape_surrogates(text) == text
