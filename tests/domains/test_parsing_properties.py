"""Properties that hold for every text: answers are found in any form, nothing crashes, time grows with length only."""

from __future__ import annotations

import gzip
import itertools
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.domains import equivalent, parse_completion
from memreward.domains.code.parse import code_normal_form, defines, entry_point, parses
from memreward.domains.math import arithmetic
from memreward.domains.math.arithmetic import arithmetic_statements, numbers
from memreward.domains.registry import answer_key
from memreward.types import DOMAINS
from rows import each_row

OPTIONS = "Which?\n(A) red hat\n(B) green hat\n(C) blue hat\n(D) no hat"
PROMPT = 'def f(x):\n    """Double x."""\n'

any_text = st.text(st.characters(), max_size=200)
MARKUP = ["\\boxed{", "}", "{", "<think>", "</think>", "<answer>", "</answer>", "#### ", "A: ", "the answer is ", "(A)"]
MARKUP += [
    "**",
    "```python\n",
    "```",
    "\n",
    "$",
    "\\(",
    "1",
    "1/2",
    ",",
    ".",
    " ",
    "def f(x):",
    "    return 1",
    "=",
    "\ud800",
]
markup = st.sampled_from(MARKUP)
marked_up = st.lists(markup | st.text(st.characters(), max_size=4), max_size=25).map("".join)
prose = st.sampled_from(
    ["", "We add 3 to 4.\n", "Let $x$ be {1}, so 2 < 3.\n", "<think>5? no</think>\n", "\\boxed{99} is wrong.\n"]
)
closings = st.sampled_from(["", "\n", "  \n\n"])

plain = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.decimals(-1000, 1000, places=2).map(lambda value: f"{value:f}"),
    st.tuples(st.integers(1, 99), st.integers(2, 99)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
)
nested = st.recursive(
    st.sampled_from(["x", "2", "y^2"]),
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: f"\\frac{{{pair[0]}}}{{{pair[1]}}}")
        | inner.map(lambda value: f"\\sqrt{{{value}}}")
        | inner.map(lambda value: f"x^{{{value}}}")
    ),
    max_leaves=8,
)
FORMS = [
    "\\boxed{%s}",
    "So it is $\\boxed{%s}$.",
    "\\fbox{%s}",
    "<answer>%s</answer>",
    "<answer>\\boxed{%s}</answer>",
    "#### %s",
    "A: %s",
    "The answer is %s.",
    "The answer is $%s$.",
    "**Final answer:** %s",
    "Answer: %s",
]


@given(plain, prose, st.sampled_from(FORMS), closings)
def test_a_number_is_found_in_any_form(answer: str, before: str, form: str, after: str) -> None:
    if "\\boxed" in before and "nswer" in form and "<answer>" not in form:
        before = ""  # a box outranks a phrase, wherever they stand
    completion = parse_completion(before + form % answer + after, "math")
    assert completion.answer is not None
    assert equivalent(completion.answer, answer, "math"), completion


@given(nested, prose, st.sampled_from(FORMS[:7]))
def test_a_box_gives_back_what_is_in_it_however_nested(answer: str, before: str, form: str) -> None:
    assert parse_completion(before + form % answer, "math").answer == answer


LETTER_FORMS = ["\\boxed{%s}", "\\boxed{\\text{(%s)}}", "<answer>%s</answer>", "<answer>(%s)</answer>", "#### %s"]
LETTER_FORMS += [
    "The answer is (%s).",
    "The answer is %s.",
    "Answer: **%s**",
    "The correct option is (%s)",
    "Answer: %s)",
]


@given(st.sampled_from("ABCD"), st.sampled_from(["", "(A) has red, (B) has green.\n"]), st.sampled_from(LETTER_FORMS))
def test_a_letter_is_found_in_any_form(letter: str, before: str, form: str) -> None:
    assert parse_completion(before + form % letter, "qa", OPTIONS).answer == letter


@given(any_text | marked_up, st.sampled_from(DOMAINS), st.sampled_from(["", OPTIONS, PROMPT]))
def test_any_text_parses_to_something_equivalent_to_itself(text: str, domain, prompt: str) -> None:
    completion = parse_completion(text, domain, prompt)
    assert (completion.answer is None) == (completion.form == "none")
    assert completion.thinking or not text
    if completion.answer is not None and domain != "math":
        assert equivalent(completion.answer, completion.answer, domain, query_text=prompt)
    assert entry_point(text) is None or isinstance(entry_point(text), str)
    assert defines(text, "f") <= parses(text)
    code_normal_form(text)
    assert all(isinstance(verdict, bool) for _, verdict in arithmetic_statements(text))
    numbers(text)


@given(st.integers(-9999, 9999), st.integers(-9999, 9999), st.sampled_from("+-*"), st.integers(-2, 2))
def test_arithmetic_statements_are_true_or_false(a: int, b: int, sign: str, error: int) -> None:
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    second = f"({b})" if b < 0 else str(b)
    [(statement, verdict)] = arithmetic_statements(f"Then {a} {sign} {second} = {value + error} coins.")
    assert verdict == (error == 0)
    assert statement.replace(" ", "") == f"{a}{sign}{second}={value + error}"


@each_row(
    ("text", "statements"),
    [
        ("2*5=<<2*5=10>>10 pounds", [("2 * 5 = 10", True)]),
        ("5 pounds × 4 = 21 pounds", [("5 * 4 = 21", False)]),
        ("2(3+4) = 14 = 2*7 = 15", [("2 ( 3 + 4 ) = 14", True), ("14 = 2 * 7", True), ("2 * 7 = 15", False)]),
        ("10/3 = 3.33 and 10 ÷ 3 = 3", [("10 / 3 = 3.33", True), ("10 / 3 = 3", False)]),
        ("$300 * 2% = $6", [("300 * 2 % = 6", True)]),
        ("20/40 = 50%", [("20 / 40 = 50 %", True)]),
        ("\\frac{6}{2} + 1 = 4", [("( ( 6 ) / ( 2 ) ) + 1 = 4", True)]),
        ("2 \\times 3^{2} = 18", [("2 * 3 ^ ( 2 ) = 18", True)]),
        ("**1,000 + 1 = 1,001**", [("1000 + 1 = 1001", True)]),
        ("5/0 = 3", [("5 / 0 = 3", False)]),
        ("9^9^9^9 = 1", [("9 ^ 9 ^ 9 ^ 9 = 1", False)]),
        ("-2^2 = -4", [("- 2 ^ 2 = - 4", True)]),
        ("8 - 3 - 2 = 3", [("8 - 3 - 2 = 3", True)]),
        ("x + 2 = 5, 2x + 3 = 7, x - 2 + 3 = 9, f(2) + 1 = 5, 3 + 4 = 7x, a_1 = 4/7, y = 5", []),
    ],
)
def test_arithmetic_table(text: str, statements: list[tuple[str, bool]]) -> None:
    assert arithmetic_statements(text) == statements


PIECES = [
    "3",
    "1,000",
    "1,00",
    ".5",
    "2.50",
    "-",
    "+",
    "*",
    "\\times",
    "=",
    "=",
    " ",
    " ",
    "$",
    ",",
    ".",
    "x",
    "so",
    "apples",
]
PIECES += ["apples", "_", "!", "'", "\n", ":", "%", "(", ")"]
equations = st.tuples(
    st.sampled_from(["", "so ", "x", "_", ": ", "- "]),
    st.sampled_from(["3 + 4 = 7", "1,000*2=2000", ".5 - .25 = .3", "8 \\times 2 = 17", "6−1 = 5"]),
    st.lists(st.sampled_from(PIECES), max_size=3).map("".join),
)


@given(equations.map("".join) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_an_equation_read_by_its_pattern_is_read_as_by_tokens(passage: str) -> None:
    by_tokens = arithmetic._scan(passage)
    assert arithmetic._statements(passage) == by_tokens


def test_numbers_are_normalised() -> None:
    text = "1,000.50 and 20.0, .5, -3, 5-3, x=-2, 1/2 $3,000,000 007 1,2,3"
    assert numbers(text) == ["1000.5", "20", "0.5", "-3", "5", "3", "-2", "1", "2", "3000000", "7", "1", "2", "3"]


HOSTILE = [
    "\\boxed{",
    "{",
    "}",
    "<think>",
    "<answer>",
    "</answer>",
    "#### 1\n",
    "A:",
    "the answer is ",
    "(A) ",
    "(A) is ",
]
HOSTILE += [
    "**",
    "```python\n",
    "\n",
    " \n",
    " ",
    "\t",
    "$",
    "\\(",
    "1,",
    "1 ",
    "- ",
    "1+1=",
    "(",
    "((1)",
    "<<1",
    "\\frac{1}{",
]
HOSTILE += [
    "\\text{",
    "a b ",
    "def f(x):\n",
    "assert ",
    "    return 1\n",
    "\ud800",
    "\\",
    "x=",
    "answer ",
    "^",
    "option ",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.slow
def test_time_is_linear_in_the_length(pattern: str) -> None:
    text = (pattern * (100_000 // len(pattern) + 1))[:100_000]
    start = time.process_time()
    for domain, prompt in zip(DOMAINS, ("", OPTIONS, PROMPT, ""), strict=True):
        completion = parse_completion(text, domain, prompt)
        answer_key(completion.answer or text, domain, query_text=prompt)
    numbers(text)
    arithmetic_statements(text)
    entry_point(text)
    code_normal_form(text)
    assert time.process_time() - start < 10.0


def _rows(path: Path, step: int) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in itertools.islice(lines, 0, None, step)]


@pytest.mark.parametrize(
    ("name", "step", "least"),
    [("gsm8k_gpt3", 6, 0.999), ("math500_qwen2.5-math-1.5b", 10, 0.99), ("commonsenseqa_re2", 10, 0.998)],
)
@pytest.mark.slow
def test_agrees_with_the_labels_of_real_rollouts(shared_data: Path, name: str, step: int, least: float) -> None:
    verdicts = []
    for row in _rows(shared_data / "rollouts" / f"{name}.jsonl.gz", step):
        for rollout in row["rollouts"]:
            if rollout["correct"] is None:
                continue
            answer = parse_completion(rollout["text"], row["domain"], row["query"]).answer
            right = answer is not None and equivalent(answer, row["reference"], row["domain"], query_text=row["query"])
            verdicts.append(right == rollout["correct"])
    assert len(verdicts) > 500
    assert sum(verdicts) / len(verdicts) >= least


@pytest.mark.parametrize(("name", "least"), [("humaneval_codegen-16b", 0.93), ("humaneval_gpt-3.5-turbo", 0.84)])
def test_real_solutions_are_found(shared_data: Path, name: str, least: float) -> None:
    found = []
    for row in _rows(shared_data / "rollouts" / f"{name}.jsonl.gz", 4):
        assert entry_point(row["query"]) == row["entry_point"]
        for rollout in row["rollouts"]:
            answer = parse_completion(rollout["text"], "code", row["query"]).answer
            found.append(answer is not None and defines(answer, row["entry_point"]))
            assert found[-1] or not rollout["correct"], "code that passed its tests defines its function"
    assert sum(found) / len(found) >= least
