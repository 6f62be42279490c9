"""An answer is the same in whatever it is wrapped: tags, JSON, Markdown, LaTeX, quotes, brackets, chat tokens."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.domains import equivalent, parse_completion
from memreward.domains.shared.dress import answer_region, peeled, plain_markup
from memreward.types import Domain

CHOICES = "Where does a baker work?\n(A) bakery\n(B) river bank\n(C) coal mine\n(D) post office\n(E) cinema"
# Around any answer, a formula too.
AROUND_ANY = [
    "%s",
    "</think>\n%s",
    "<think>Is it 99? Is it (A)?</think>\n\n%s\n",
    "<ans>%s</ans>",
    "<answer>%s</answer>",
    "<final>%s</final>",
    "<final_answer>\n%s\n</final_answer>",
    "<solution>%s</solution>",
    '<answer type="final">%s</answer>',
    "<my-own-tag>%s</my-own-tag>",
    "We think.\n<ans>%s",
    "[ANSWER]%s[/ANSWER]",
    "\\boxed{%s}",
    "$\\boxed{%s}$.",
    "\\[\\boxed{%s}\\]",
    "#### %s",
    "The answer is $%s$.",
    "**Answer:** $%s$",
    "<|im_start|>assistant\n<ans>%s</ans><|im_end|>",
    "<reasoning>9 or (A)?</reasoning>\n<answer>%s</answer>",
    "<|channel|>analysis<|message|>Is it 9?<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{%s}<|return|>",
    "<|begin_of_thought|>9?<|end_of_thought|>\n<|begin_of_solution|>\\boxed{%s}<|end_of_solution|>",
]
# Around a letter, a word or a number.
AROUND_PLAIN = [
    "**%s**",
    "***%s***",
    "*%s*",
    "__%s__",
    "`%s`",
    "```\n%s\n```",
    '"%s"',
    "“%s”",
    "'%s'",
    "(%s)",
    "[%s]",
    "[[%s]]",
    "{%s}",
    "<b>%s</b>",
    "$%s$",
    "\\(%s\\)",
    "\\text{%s}",
    "\\textbf{%s}",
    "$\\mathrm{%s}$",
    "\\boxed{\\text{%s}}",
    "**(%s)**",
    "%s.",
    "%s;",
    "> %s",
    "# %s",
    "The answer is: **%s**.",
    "Final Answer: `%s`",
    "### Answer\n\n**%s**",
    "</think>\n\n**Final answer:** %s",
    "%s</s>",
    "%s<|eot_id|>",
]
NUMBERS = ["7", "-7", "1,234", "0.5", "3/4", "12000"]
FORMULAS = ["\\frac{3}{4}", "x+1", "2\\sqrt{3}", "(1, 2)"]
WORDS = ["Moscow", "New York", "plausible", "Ada Lovelace"]

CASES: list[tuple[Domain, str, str, str]] = [
    *(("math", "How much?", dress, answer) for dress in AROUND_ANY for answer in FORMULAS),
    *(
        ("math", "How much?", dress, answer)
        for dress in AROUND_ANY + AROUND_PLAIN
        for answer in NUMBERS
        if not ({"(%s)", "[%s]"} & {dress.strip("*"), dress[1:-1]}) or "," not in answer  # (1,234) is a pair
    ),
    *(("qa", CHOICES, dress, answer) for dress in AROUND_ANY + AROUND_PLAIN for answer in "ABCDE"),
    *(("qa", CHOICES, dress, answer) for dress in AROUND_ANY + AROUND_PLAIN for answer in ("river bank", "Cinema")),
    *(("qa", "Is it?", dress, answer) for dress in AROUND_ANY + AROUND_PLAIN for answer in ("yes", "False")),
    *(("qa", "Who?", dress, answer) for dress in AROUND_ANY + AROUND_PLAIN for answer in WORDS),
    *(("other", "Who?", dress, answer) for dress in AROUND_ANY + AROUND_PLAIN for answer in WORDS),
]


def test_there_are_thirty_kinds() -> None:
    assert len(AROUND_PLAIN) >= 30


@pytest.mark.parametrize("domain", ["math", "qa", "other"])
def test_the_same_answer_comes_out_of_every_dress(domain: str) -> None:
    lost = []
    for of, query, dress, answer in CASES:
        if of == domain:
            found = parse_completion(dress % answer, of, query).answer
            if found is None or not equivalent(found, answer, of, query_text=query):
                lost.append((query[:10], dress, answer, found))
    assert lost == []


@given(
    st.sampled_from(AROUND_PLAIN[:25]),
    st.sampled_from(AROUND_PLAIN[:25]),
    st.sampled_from(["B", "Moscow", "1234", "-0.5"]),
)
def test_two_dresses_come_off_too(inner: str, outer: str, answer: str) -> None:
    for dress in (inner, outer):
        if dress.endswith((";", ".")) or dress.startswith((">", "#", "[[", "<", "```")):
            return
    assert peeled(outer % (inner % answer)) == answer


@pytest.mark.parametrize(
    "content",
    ["(1, 2)", "[0, 1)", "5!", "f(x)", "{1, 2}", "x+1", "a * b", "", "**", "()", "\\frac{1}{2}", "- 5", "|x|+1"],
)
def test_what_is_no_letter_word_or_number_stays_as_it_is(content: str) -> None:
    assert peeled(content) == content


@pytest.mark.parametrize(
    "text",
    [
        "0 <b and c> 3",
        "a<p>b",
        "Let x <y and y> z, so {x} < 2",
        "The set {1, 2} and [0,1].",
        "f[[1, 2], [3, 4]]",
        'd = {"a": 1}',
        "vector<int> v",
    ],
)
def test_mathematics_and_code_are_no_markup(text: str) -> None:
    assert plain_markup(text) == text


def test_the_answer_of_a_json_object() -> None:
    for value, answer in (("E", "E"), (["E"], "E"), (42, "42"), ("\\frac{1}{2}", "\\frac{1}{2}")):
        for key in ("answer", "final_answer", "Answer", "answer_choice"):
            text = json.dumps({"reasoning": "A or B", key: value})
            for whole in (text, f"```json\n{text}\n```", f"So:\n{text}"):
                assert f"<answer>{answer}</answer>" in plain_markup(whole)
    assert "<answer>\\frac{1}{2}</answer>" in plain_markup('{"answer": "\\frac{1}{2}"}')


def test_thinking_of_other_families_is_cut_off() -> None:
    for text in ("<reasoning>a</reasoning>b", "<|begin_of_thought|>a<|end_of_thought|>b", "◁think▷a◁/think▷b"):
        assert answer_region(text)[:2] == ("a", "b")
    assert answer_region("b<reasoning>a</reasoning>")[0] is None, "an explanation after the answer is no thinking"


def test_a_word_that_is_no_option_names_none() -> None:
    for text in ("The answer is plausible.", "<ans>plausible</ans>", "plausible", "**Plausible**"):
        assert parse_completion(text, "qa", CHOICES).answer is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "pattern",
    [
        "<ans>",
        "</ans>",
        "[[",
        "{",
        '{"answer": ',
        '"answer":"',
        "<a>x</a",
        "<|a",
        "**",
        "((",
        "<b>",
        "</b><b>",
        "[ANSWER]",
    ],
)
def test_time_is_linear_in_the_length(pattern: str) -> None:
    text = (pattern * (100_000 // len(pattern) + 1))[:100_000]
    start = time.process_time()
    answer_region(text)
    peeled(text)
    assert time.process_time() - start < 2.5
