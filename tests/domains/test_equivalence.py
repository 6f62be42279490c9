"""Equivalence: the relation itself, its conventions by domain, its time limit and its speed."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.domains import cluster_answers, equivalent
from memreward.domains.math import process as math_process
from memreward.types import DOMAINS, Domain
from rows import each_row

SAME = [
    ("1/2", "0.5"),
    ("\\frac{1}{2}", "0.5"),
    ("\\dfrac12", "1/2"),
    ("\\frac9{19}", "9/19"),
    ("-\\frac{1}{2}", "\\frac{-1}{2}"),
    ("3\\frac{1}{2}", "7/2"),
    ("1 1/2", "1.5"),
    ("0.\\overline{3}", "1/3"),
    ("0.333333", "1/3"),
    (".5", "0.5"),
    ("7", "7.0"),
    ("007", "7"),
    ("1,000", "1000"),
    ("1{,}000", "1000"),
    ("10,\\!000", "10000"),
    ("3 \\times 10^5", "300000"),
    ("1.5e3", "1500"),
    ("2^{100}", "1267650600228229401496703205376"),
    ("$5$", "5"),
    ("\\(5\\)", "5"),
    ("**5**", "5"),
    ("5.", "5"),
    ("\\$18.00", "18 dollars"),
    ("10\\%", "10 percent"),
    ("14.5\\%", "0.145"),
    ("\\text{yes}", "True"),
    ("f(2) = 5", "5"),
    ("gcd(4, 6) = 2", "2"),
    ("negative 4", "-4"),
    ("∴ x = 5 ✓", "5"),
    ("Answer — 5", "5"),
    ("Answer - 5", "5"),
    ("\\frac{1}{3} \\approx 0.333", "1/3"),
    ("\\dfrac{1}{3} \\text{ or approximately } 0.333", "\\frac13"),
    ("2\\sqrt{3} ≈ 3.46", "\\sqrt{12}"),
    ("n = 3k \\text{ for } k \\in \\mathbb{N}", "n = 3k"),
    ("f(x) = 2x + 1 \\text{ for all } x \\in \\mathbb{R}", "2x + 1"),
    ("n = 2k, where k is an integer", "n = 2k"),
    ("1.5 \\times 10^{3}\\ \\text{J}", "1500"),
    ("\\Delta G = -237.1", "-237.1"),
    ("No", "false"),
    ("9 \\times 2 = 18", "18"),
    ("\\frac{36}{2} = 18", "18"),
    ("₹18", "¥18.00"),
    ("18 million dollars", "\\$18 million"),
    ("90^\\circ", "90°"),
    ("5 apples", "5"),
    ("5 \\text{ cents}", "5 cents"),
    ("15\\mbox{ cm}^2", "15 square centimeters"),
    ("x = 5", "5"),
    ("f(x) = x + 1", "1 + x"),
    ("x \\in [1,2]", "[1,2]"),
    ("\\sqrt{8}", "2\\sqrt2"),
    ("sqrt(8)", "2*sqrt(2)"),
    ("\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}"),
    ("\\frac{3\\pi}{4}", "\\frac34\\pi"),
    ("(x+1)^2", "x^2+2x+1"),
    ("x**2", "x^2"),
    ("\\frac{x}{2}", "0.5x"),
    ("\\sin^2 x + \\cos^2 x", "1"),
    ("\\log_2 8", "3"),
    ("\\binom{5}{2}", "10"),
    ("e^{2x}", "(e^x)^2"),
    ("2+3i", "3i+2"),
    ("1, -2", "-2, 1"),
    ("x=1 \\text{ or } x=2", "2, 1"),
    ("\\{1, 2\\}", "\\left\\{2, 1\\right\\}"),
    ("\\pm 2", "2, -2"),
    ("\\left(3, \\frac{\\pi}{2}\\right)", "(3,\\pi/2)"),
    ("(-\\infty, 2)\\cup(3,\\infty)", "(3,\\infty) \\cup (-\\infty, 2)"),
    ("\\begin{pmatrix} 1/3 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}\\frac13\\\\2\\end{pmatrix}"),
    ("2x + 2y = 6", "y + x - 3 = 0"),
    ("x > 5", "5 < x"),
    ("1 < x < 5", "5 > x > 1"),
    ("\\text{even}", "Even"),
    ("\\text{(B)}", "B"),
    ("6:30 p.m.", "6:30 \\text{ p.m.}"),
    ("4210_5", "4210_{5}"),
    ("4210 base 5", "4210_{5}"),
    ("12_{10}", "12"),
    ("4 million", "4000000"),
    ("three dozen", "36"),
    ("twenty-five", "25"),
    ("5 squared", "25"),
    ("10, 000", "10000"),
    ("i^2", "-1"),
    ("(1+i)^2", "2i"),
    ("\\frac{1}{i}", "-i"),
    ("\\sqrt{-4}", "2i"),
    ("e^{i\\pi}", "-1"),
    ("\\tan 45^\\circ", "1"),
    ("tan 45°", "1"),
    ("ba", "ab"),
    ("xy", "x*y"),
    ("2/3x", "\\frac23x"),
    ("1x", "x"),
    ("approximately 2", "2"),
    ("\\approx 2", "2"),
    ("≈ 2", "2"),
    ("2 + 3 = 5", "5"),
    ("y = 2, x = 1", "(x, y) = (1, 2)"),
    ("x < 2 \\text{ or } x > 3", "x > 3 or x < 2"),
    ("x > 2 and x < 3", "2 < x < 3"),
]

DIFFERENT = [
    ("\\sqrt{2}", "2"),
    ("\\sqrt{2}", "1.414"),
    ("(1,2)", "12"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("(3,1)", "(5,2)"),
    ("1", "-1"),
    ("1,000", "1"),
    ("10\\%", "10"),
    ("yes", "no"),
    ("7 \\times 2 = 18", "18"),
    ("\\frac{1}{3} \\approx 0.4", "1/3"),
    ("x \\text{ for } x > 0", "x"),
    ("3:4", "3/4"),
    ("Answer -5", "5"),
    ("x(2) + 1 = 5", "5"),
    ("2\\text{x}", "2"),
    ("\\$5", "5"),
    ("5 cents", "5 dollars"),
    ("5 cm", "5 m"),
    ("4 million", "4"),
    ("4 dozen", "4"),
    ("4 squared", "4"),
    ("4 xy", "4"),
    ("100, 200", "100200"),
    ("3 4", "34"),
    ("3\\,4", "34"),
    ("(12,102)", "12102"),
    ("12_7", "12"),
    ("x = 1, y = 2", "x = 2, y = 1"),
    ("at least 4", "4"),
    ("not 4", "4"),
    ("no", "on"),
    ("2/3", "3/2"),
    ("0.33", "1/3"),
    ("10^{-7}", "0"),
    ("x", "y"),
    ("x", "-x"),
    ("x^2", "x^3"),
    ("x + 1", "x - 1"),
    ("x > 5", "x < 5"),
    ("x \\le 3", "x < 3"),
    ("x = 2y", "x = 3y"),
    ("\\sin x", "\\cos x"),
    ("\\infty", "-\\infty"),
    ("\\frac{1}{0}", "0"),
    ("12", "1, 2"),
    ("\\text{even}", "odd"),
    ("A", "B"),
    ("", "0"),
    ("2^{100}", "2^{101}"),
    ("6:30", "0.2"),
    ("4210", "421"),
]

OPTIONS = "Which?\n(A) red hat\n(B) hat\n(C) blue hat"
SLOW = "\\sin(0) + 9^{9^{9^{9^{9}}}}"
LIMIT_S = math_process.TIME_LIMIT_S + 5.0


def test_same_mathematics(drawn: Callable[[Iterable[Any]], list[Any]]) -> None:
    assert [(a, b) for a, b in drawn(SAME) if not (equivalent(a, b, "math") and equivalent(b, a, "math"))] == []


def test_different_mathematics() -> None:
    assert [(a, b) for a, b in DIFFERENT if equivalent(a, b, "math") or equivalent(b, a, "math")] == []


@each_row("other", ["5\\%", "x = 5\\%", "5 m", "\\$5"])
def test_what_is_measured_tells_apart_whatever_else_is_in_the_group(other: str) -> None:
    """A group in which all else is spelled alike is no reason to merge: 5 cm is not 5 m."""
    alone = "5 cm" if other == "5 m" else "5"
    for company in ([], ["7"]):
        found = cluster_answers([alone, other, *company], "math")
        assert found[0] != found[1]
        assert cluster_answers([alone, f"{alone}.", f" {alone}"], "math") == [0, 0, 0]


def test_a_ratio_is_a_fraction_where_a_ratio_is_asked_for_and_named_values_a_point_where_a_point_is() -> None:
    ratio, point = "What is the ratio of red to blue?", "Find the ordered pair (a, b)."
    assert equivalent("3:4", "\\frac{3}{4}", "math", query_text=ratio)
    assert equivalent("6 : 8", "3 to 4", "math", query_text=ratio)
    assert equivalent("4:2", "2:1", "math", query_text=ratio)
    assert not equivalent("2:1", "2", "math", query_text=ratio)
    assert equivalent("(a, b) = (3, 4)", "(3, 4)", "math", query_text=point)
    assert equivalent("b = 4, a = 3", "(3, 4)", "math", query_text=point)
    assert not equivalent("a = 4, b = 3", "(3, 4)", "math", query_text=point)


def test_the_letter_of_an_option_is_its_value_in_mathematics_too() -> None:
    asked = "How long does it take?\nOptions: (A) 15 minutes (B) 20 minutes"
    assert equivalent("B", "20 minutes", "math", query_text=asked)
    assert equivalent("(B) 20 minutes", "20", "math", query_text=asked)
    assert not equivalent("B", "15 minutes", "math", query_text=asked)
    assert not equivalent("(B) 15 minutes", "20 minutes", "math", query_text=asked)
    assert not equivalent("B", "20", "math", query_text="Which point is nearest?")


def test_choices_by_letter_or_text() -> None:
    assert equivalent("B", "(b)", "qa", query_text=OPTIONS)
    assert equivalent("(B) hat", "B.", "qa", query_text=OPTIONS)
    assert equivalent("Hat", "B", "qa", query_text=OPTIONS)
    assert equivalent("Red hat.", "A", "qa", query_text=OPTIONS)
    assert not equivalent("A", "B", "qa", query_text=OPTIONS)
    assert not equivalent("green shoe", "A", "qa", query_text=OPTIONS)
    assert equivalent("Green  shoe", "green shoe!", "qa", query_text=OPTIONS)


def test_other_ignores_case_blanks_and_punctuation() -> None:
    assert equivalent("New  York.", "new york", "other")
    assert not equivalent("New York", "York", "other")
    assert not equivalent("?", "!", "other")


fragments = st.sampled_from(
    [
        "1",
        "2",
        "0.5",
        "1/2",
        "\\frac{1}{2}",
        "x",
        "x+1",
        "1+x",
        "A",
        "(B)",
        ",",
        " ",
        "(",
        ")",
        "=",
        "<",
        "\\sqrt{2}",
        "{",
    ]
)
answers = st.one_of(
    st.lists(fragments, max_size=4).map("".join),
    st.sampled_from([text for pair in SAME[:30] for text in pair]),
    st.text(max_size=6),
    st.integers(-20, 20).map(str),
    st.just("def f(a):\n    return a"),
    st.just("def f(b):  # same\n    return b"),
)
groups = st.lists(st.none() | answers, max_size=6)


@given(groups, st.sampled_from(DOMAINS), st.randoms(use_true_random=False))
def test_clusters_are_the_classes_of_equivalent_whatever_the_order(group, domain, random) -> None:
    classes = cluster_answers(group, domain, query_text=OPTIONS)
    for (a, class_a), (b, class_b) in itertools.product(zip(group, classes, strict=True), repeat=2):
        if a is None:
            assert class_a == -1
        elif b is not None:
            assert (class_a == class_b) == equivalent(a, b, domain, query_text=OPTIONS)
    order = list(range(len(group)))
    random.shuffle(order)
    shuffled = cluster_answers([group[index] for index in order], domain, query_text=OPTIONS)
    assert len(set(zip(shuffled, (classes[index] for index in order), strict=True))) == len(set(classes))
    seen = [index for index in classes if index >= 0]
    assert sorted(set(seen)) == list(range(len(set(seen))))
    assert list(dict.fromkeys(seen)) == sorted(set(seen))


@pytest.mark.slow
def test_time_limit_holds_in_a_thread() -> None:
    verdicts: list[bool] = []
    thread = threading.Thread(target=lambda: verdicts.append(equivalent(SLOW, "1", "math")))
    math_process.values_of("\\sin 1")
    math_process.values_of.cache_clear()
    start = time.monotonic()
    thread.start()
    thread.join(60)
    assert verdicts == [False]
    assert time.monotonic() - start < LIMIT_S
    assert equivalent("\\cos 0", "1", "math"), "the worker starts again after it was killed"


@pytest.mark.slow
def test_time_limit_holds_in_an_event_loop_and_is_cached() -> None:
    async def ask() -> bool:
        return equivalent(SLOW + " + \\cos 0", "1", "math")

    start = time.monotonic()
    assert asyncio.run(ask()) is False
    assert time.monotonic() - start < LIMIT_S + 60, "with the start of a worker"
    asked = math_process.values_of.cache_info().misses
    assert asyncio.run(ask()) is False
    assert math_process.values_of.cache_info().misses == asked


def test_plain_towers_of_powers_need_no_worker() -> None:
    start = time.process_time()
    asked = math_process.values_of.cache_info().misses
    assert not equivalent("9^{9^{9^{9}}}", "9^9^9^9^9", "math")
    assert not equivalent("9^9^9^9", "1", "math")
    assert math_process.values_of.cache_info().misses == asked
    assert time.process_time() - start < 1.0


@pytest.mark.slow
def test_many_threads_agree() -> None:
    verdicts: list[bool] = []

    def ask(index: int) -> None:
        verdicts.append(equivalent(f"\\cos({index} - {index}) + {index}", str(index + 1), "math"))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert verdicts == [True] * 16


def _compare_in_child(domain: Domain) -> bool:
    return equivalent("\\cos 0 + 5", "6", domain)


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.slow
def test_works_in_child_processes_beside_the_parent(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} does not exist on this platform")
    assert equivalent("\\cos 0", "1", "math")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_compare_in_child, ("math",)) is True
    math_process.values_of.cache_clear()
    assert equivalent("\\cos 0 + 1", "2", "math"), "the parent's worker survives its child"


@pytest.mark.slow
def test_import_and_plain_numbers_start_no_process_and_exit_leaves_none() -> None:
    script = (
        "import os, sys, memreward.domains as p\n"
        "from memreward.domains.math import process as m\n"
        "assert p.equivalent('1/2', '0.5', 'math') and p.equivalent('x+1', '1+x', 'math')\n"
        "assert m._worker._process is None and 'sympy' not in sys.modules\n"
        "assert p.equivalent('\\\\cos 0', '1', 'math')\n"
        "print(m._worker._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_groups_of_64_are_fast() -> None:
    numbers = [f"{index},000" if index % 2 else f"\\frac{{{index}}}{{7}}" for index in range(1, 65)]
    start = time.process_time()
    assert cluster_answers(numbers, "math") == list(range(64))
    assert time.process_time() - start < 0.5
    messy = [f"\\frac{{{index}\\sqrt{{{index + 2}}}}}{{3}} + x^{{{index}}}" for index in range(1, 65)]
    start = time.process_time()
    asked = math_process.values_of.cache_info().misses
    assert cluster_answers(messy, "math") == list(range(64))
    assert math_process.values_of.cache_info().misses - asked <= len(messy), "each expression is valued once"
    assert time.process_time() - start < 1.0
    start = time.process_time()
    asked = math_process.values_of.cache_info().misses
    cluster_answers(messy, "math")
    assert math_process.values_of.cache_info().misses == asked
    assert time.process_time() - start < 0.1
