r"""The parser's clusters and the verifier's verdicts agree, and both know the truth of answers made to have one.

A verdict must be the same for all answers of a cluster: a wrong one never shares the value of a right one.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memreward.domains import Verifiers, cluster_answers, parse_rollout
from memreward.domains.registry import answer_key
from memreward.types import Claim, Query, Verdict
from rows import each_row

VERIFIERS = Verifiers()
QUERIES = [
    "How much?",
    "What percentage of the balls is red?",
    "Find the coordinates of the point.",
    "Solve the inequality. Give the solution as an interval.",
    "The price is \\$3. How many dollars does she pay?",
    "A square has a side of 3 cm. What is its area?",
    "How many million people live there?",
    "Write the sum in base 7.",
    "How many degrees has the angle?",
    "Which one?\n(A) 4\n(B) 5\n(C) 6",
]

numbers = st.one_of(
    st.integers(-30, 30).map(str),
    st.sampled_from(
        ["0.5", "1/2", "\\frac{1}{2}", "1,234", "1234", "2.50", "\\sqrt{8}", "2\\sqrt{2}", "\\pi", "\\frac\\pi2"]
    ),
    st.sampled_from(
        ["100", "0.1", "10", "1000", "12_7", "12_{7}", "12 base 7", "12_{10}", "4 million", "4", "four", "3 4", "34"]
    ),
    st.sampled_from(["i", "i^2", "-1", "2i", "(1+i)^2", "\\infty", "-\\infty", "infinity", "4!", "24", "2^2"]),
)
letters = st.sampled_from(
    ["x", "xy", "yx", "x*y", "2x", "x+x", "2/3x", "\\frac{2x}{3}", "A", "(A)", "(a)", "a", "B", "\\text{B}", "no", "on"]
)
atoms = numbers | letters
units = st.sampled_from(
    [
        "%s\\%%",
        "%s%%",
        "%s percent",
        "\\$%s",
        "%s dollars",
        "%s cents",
        "%s cm",
        "%s m",
        "%s\\text{ cm}^2",
        "%s^\\circ",
        "%s apples",
        "%s \\text{ square centimeters}",
        "about %s",
        "\\approx %s",
        "at least %s",
        "not %s",
        "%s squared",
        "%s dozen",
        "%s or more",
    ]
)
joined = st.sampled_from(
    [
        "%s, %s",
        "%s and %s",
        "%s or %s",
        "(%s, %s)",
        "((%s, %s))",
        "[%s, %s]",
        "(%s, %s]",
        "\\{%s, %s\\}",
        "x = %s, y = %s",
        "y = %s, x = %s",
        "(x, y) = (%s, %s)",
        "x < %s or x > %s",
        "x > %s and x < %s",
        "%s < x < %s",
        "%s : %s",
        "%s + %s",
        "\\begin{pmatrix} %s \\\\ %s \\end{pmatrix}",
        "\\langle %s, %s \\rangle",
        "(-\\infty, %s) \\cup (%s, \\infty)",
        "%s = %s",
    ]
)
answers = st.one_of(
    atoms,
    st.tuples(units, numbers).map(lambda pair: pair[0] % pair[1]),
    st.tuples(joined, atoms, atoms).map(lambda parts: parts[0] % parts[1:]),
)
dressed = st.tuples(
    st.sampled_from(["%s", "$%s$", "\\text{%s}", "x = %s", "%s.", "\\left(%s\\right)", "{%s}", "\\mathbf{%s}", " %s "]),
    answers,
).map(lambda pair: pair[0] % pair[1])


def judged(answers: list[str], reference: str, query: Query) -> list[Verdict]:
    rollouts = [parse_rollout(query, f"\\boxed{{{answer}}}", id=f"q/{index}") for index, answer in enumerate(answers)]
    return VERIFIERS.verify([Claim(rollout, reference) for rollout in rollouts])


def test_a_name_before_a_percentage_changes_no_verdict() -> None:
    query = Query("q", "How much?", "math")
    for reference, answers in (
        ("0", ["0\\%", "x = 0\\%"]),
        ("0", ["i\\%", "x = i\\%"]),
        ("0.05", ["5\\%", "x = 5\\%"]),
    ):
        verdicts = [found.correct for found in judged(answers, reference, query)]
        assert verdicts[0] is verdicts[1] is not None


@pytest.mark.slow
@given(st.lists(dressed, min_size=8, max_size=16), st.lists(dressed, min_size=1, max_size=3), st.sampled_from(QUERIES))
def test_answers_of_one_cluster_have_one_verdict(group: list[str], references: list[str], question: str) -> None:
    """Or none: "0 apples" cannot be told where people are counted, though it is 0 and votes with it."""
    query = Query("q", question, "math")
    rollouts = [parse_rollout(query, f"\\boxed{{{answer}}}", id="q") for answer in group]
    classes = cluster_answers([rollout.answer for rollout in rollouts], "math", query_text=question)
    for reference in [*references, group[0]]:
        verdicts: dict[int, tuple[str, bool]] = {}
        for answer, index, found in zip(group, classes, judged(group, reference, query), strict=True):
            if found.correct is not None:
                first = verdicts.setdefault(index, (answer, found.correct))
                assert first[1] is found.correct, (first, answer, found, reference)


values = st.integers(2, 9999)
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "dozen": 12}
PLACES = [
    "\\boxed{%s}",
    "The answer is %s.",
    "#### %s",
    "<answer>%s</answer>",
    "**Final answer:** %s",
    "Answer: %s",
    "%s",
]


def verdict(text: str, reference: str, question: str = "How much?") -> bool | None:
    (found,) = VERIFIERS.verify([Claim(parse_rollout(Query("q", question, "math"), text, id="q"), reference)])
    return found.correct


@given(values, st.sampled_from(sorted(SCALES)), st.sampled_from(PLACES), st.sampled_from(["", ".5"]))
def test_a_word_of_magnitude_multiplies(number: int, word: str, place: str, decimals: str) -> None:
    value = str(Fraction(f"{number}{decimals}") * SCALES[word])
    text = place % f"{number}{decimals} {word}"
    assert verdict(text, value) is True
    assert verdict(text, f"{number}{decimals}") is False
    assert verdict(place % f"{number}{decimals}", f"{number}{decimals} {word}") is False


COMMITTED = [
    "The answer is %s.",
    "The answer is probably %s.",
    "The answer is approximately %s.",
    "The answer is exactly %s, I am sure.",
    "I am not certain, but the answer is %s.",
    "It is not even, so the answer is %s.",
    "If we add them, then the answer is %s.",
    "\\boxed{%s} is right.",
    "So we have \\boxed{%s}, as was to be shown.",
    "The answer is %s because it is not less.",
    "The answer is %s apples.",
]
DENIED = [
    "\\boxed{%s} is wrong.",
    "\\boxed{%s} is not the answer.",
    "\\boxed{%s} is incorrect.",
    "The answer is not \\boxed{%s}.",
    "I do not think the answer is %s.",
    "I don't believe that the answer is %s.",
    "I doubt that the answer is %s.",
    "It is not true that the answer is %s.",
    "It is wrong to say that the answer is %s.",
    "The answer is not %s.",
    "The answer is certainly not %s.",
    "The answer isn't %s.",
    "The answer cannot be %s.",
    "The answer is %s? No.",
    "The answer is %s. That is wrong.",
    "The answer is %s, but that is incorrect.",
    "If the answer is %s, something is off.",
    "It is unlikely that the answer is %s.",
]
CORRECTED = [
    "The answer is %s? No, it is %s.",
    "The answer is %s. Wait, no, it is %s.",
    "The answer is %s. Actually, it is %s.",
    "The answer is %s. Correction: %s.",
    "The answer is %s. No, the answer is %s.",
    "The answer is not %s but %s.",
    "The answer is not %s, it is %s.",
    "Everyone thinks the answer is %s. It is actually %s.",
    "I do not think the answer is %s. The answer is %s.",
    "\\boxed{%s} is wrong. The answer is %s.",
    "\\boxed{%s}. Wait, that is wrong. It is %s.",
    "It is not \\boxed{%s}, so \\boxed{%s}.",
]


@given(values, values, st.sampled_from(COMMITTED))
def test_a_commitment_counts(number: int, other: int, text: str) -> None:
    assert verdict(text % number, str(number)) is True
    assert verdict(text % number, str(number + other)) is False


@given(values, st.sampled_from(DENIED))
def test_what_is_denied_is_no_answer(number: int, text: str) -> None:
    assert verdict(text % number, str(number)) is False


@given(values, st.integers(1, 99), st.sampled_from(CORRECTED))
def test_a_correction_counts(number: int, more: int, text: str) -> None:
    assert verdict(text % (number, number + more), str(number + more)) is True
    assert verdict(text % (number, number + more), str(number)) is False


@given(values, st.sampled_from(["at least", "at most", "more than", "less than", "twice", "half of", "not", "almost"]))
def test_words_before_a_number_that_change_it(number: int, words: str) -> None:
    assert verdict(f"\\boxed{{{words} {number}}}", str(number)) is False
    assert verdict(f"The answer is {words} {number}.", str(number)) is False


UNITS = [("cm", "m", Fraction(1, 100)), ("g", "kg", Fraction(1, 1000)), ("minutes", "hours", Fraction(1, 60))]
UNITS += [
    ("cents", "dollars", Fraction(1, 100)),
    ("feet", "yards", Fraction(1, 3)),
    ("ml", "liters", Fraction(1, 1000)),
]


@given(values, st.sampled_from(UNITS))
def test_a_unit_converts_and_is_no_other(number: int, unit: tuple[str, str, Fraction]) -> None:
    small, large, factor = unit
    reference = f"{number} \\text{{ {small}}}"
    assert verdict(f"\\boxed{{{number} \\text{{ {small}}}}}", reference) is True
    assert verdict(f"\\boxed{{\\frac{{{number}}}{{{1 / factor}}} \\text{{ {large}}}}}", reference) is True
    assert verdict(f"\\boxed{{{number} \\text{{ {large}}}}}", reference) is False
    assert verdict(f"\\boxed{{{number} \\text{{ apples}}}}", str(number)) is True


def test_boxes_in_a_row_are_one_answer_to_both() -> None:
    texts = ["\\boxed{1} and \\boxed{2}", "\\boxed{5} and \\boxed{2}", "\\boxed{2}, \\boxed{1}", "\\boxed{2}"]
    answers = [parse_rollout(Query("q", "How much?", "math"), text, id="q").answer for text in texts]
    assert cluster_answers(answers, "math") == [0, 1, 0, 2]
    assert [verdict(text, "1, 2") for text in texts] == [True, False, True, False]


@each_row(
    ("question", "answer", "plain"),
    [
        (QUERIES[1], "10\\%", "10"),
        (QUERIES[4], "\\$5", "5"),
        (QUERIES[5], "9\\text{ cm}^2", "9"),
        (QUERIES[7], "12_7", "12"),
        (QUERIES[6], "4 million", "4"),
        (QUERIES[8], "90^\\circ", "90"),
    ],
)
def test_what_the_question_asks_for_divides_no_cluster(question: str, answer: str, plain: str) -> None:
    assert answer_key(answer, "math", query_text=question) == answer_key(plain, "math", query_text=question)
    assert answer_key(answer, "math") != answer_key(plain, "math")
