"""Which option a reply commits to, over templates whose truth is known: negations, corrections, hedges, mentions."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear import in_time, repeated
from memreward.domains import parse_completion
from memreward.domains.choice.parse import options, read_choice
from rows import each_row

TEXTS = {"A": "bakery", "B": "river bank", "C": "coal mine", "D": "post office", "E": "cinema"}
QUERY = "Where does a baker work?\n" + "\n".join(f"({letter}) {text}" for letter, text in TEXTS.items())

# {y} is committed to, {n} is only spoken of.
COMMITS = [
    "The answer is {y}.",
    "Answer: {y}",
    "Final Answer: {y}. It is where bread is made.",
    "The correct option is {y}) {ty}, since it has ovens.",
    "I'd pick option {y}",
    "I would go with {y}.",
    "My choice: {y}",
    "So {y}.",
    "Therefore, {y}",
    "It must be {y}.",
    "{y} is correct.",
    "Option {y} is the best answer.",
    "{y}) {ty}",
    "{y}. {ty}\n\nExplanation: option {n} has no oven.",
    "The answer is {ty}.",
    "The answer is the {ty}",
    "**{y}**",
    "\\boxed{{\\text{{{y}}}}}",
    "<ans>{y}</ans>",
    "I think {y}",
    "Probably {y}",
    "{y}",
    "We get \\boxed{{12}}. So, the answer is {y}.",
    "So, the correct answer is:\n\n**{y}) {ty}**\n\nThis is where ovens are.",
]
CORRECTS = [
    "{n} is tempting, but I pick {y}.",
    "The answer is {y} (not {tn})",
    "The answer is {y}, not {n}.",
    "The answer is {y} rather than {n}.",
    "Everyone thinks the answer is {n}. It is actually {y}.",
    "Some might say {n}, but the answer is {y}.",
    "At first I thought the answer was {n}, but it's {y}.",
    "The answer is not {n} but {y}.",
    "The answer is not {tn} but {ty}.",
    "The answer isn't {n}, it's {y}.",
    "It's either {n} or {y}; I'd go with {y}.",
    "It is between {n} and {y}. I choose {y}.",
    "{n} or {y}? {y}.",
    "The answer is {n}... no wait, {y}.",
    "The answer is {n}. Wait, that is wrong. It is {y}.",
    "Is the answer {n}? No, it's {y}.",
    "If the answer were {n}, there would be water. So the answer is {y}.",
    "A common mistake is to say the answer is {n}. The correct answer is {y}.",
    "I don't believe it's {n}. I'll go with {y}.",
    "I would choose {y} over {n}.",
    "Rather than {n}, I choose {y}.",
    "Not {n}. {y}.",
    "({n}) is incorrect. The answer is ({y}).",
    "We can rule out {n}. Hence {y}.",
    "The answer is {y}, because {n} has no oven.",
    "\\boxed{{{n}}} is wrong. The answer is {y}.",
]
COMMITS_TO_NONE = [
    "I do not think the answer is {n}",
    "I don't think it is {n}.",
    "I doubt that the answer is {n}.",
    "The answer can't be {n}.",
    "{n} is wrong.",
    "{n} is not the answer.",
    "Everyone thinks the answer is {n}.",
    "A common mistake is to say the answer is {n}.",
    "Is the answer {n}? No.",
    "The answer is {n}. Scratch that.",
    "The answer is not {n}.",
    "\\boxed{{{n}}} is wrong.",
    "None of the options ({n}, {y}) is right.",
    "The answer is none of the above.",
    "The answer is plausible.",
]
SEVERAL = [
    "\\boxed{{{n}}} or \\boxed{{{y}}}",
    "$\\boxed{{{y}}}$, $\\boxed{{{n}}}$",
    "The answer is {n} or {y}.",
    "Either {n} or {y}.",
    "{n} and {y}",
    "\\boxed{{{n}, {y}}}",
    "It is ({n}) or ({y}).",
]

# In the styles of many models; all of them take A.
STYLES = [
    "**A. bakery**\n\n- A bakery is where bread is made.\n- B is wet.\n- C is dark.",
    "The answer is **A**.",
    "The correct answer is **(A) bakery**.",
    "Correct answer: **A) bakery**",
    "To determine this:\n1. B is out.\n2. C is out.\n\nSo the best choice is:\n\n**A) bakery**",
    "Among the options, (A) bakery is the most suitable place.",
    "Among the given options, option A best fits.",
    "Option A fits best.",
    "Thus, the most appropriate answer is (A).",
    "Hence, (A) is the correct option.",
    "Hence the answer is A) bakery",
    "A baker works at a bakery. [A]",
    "The baker works in a bakery, which is option A.",
    "This corresponds to choice (A).",
    "This matches option A: bakery.",
    "<answer>A</answer>\n<explanation>B is wrong</explanation>",
    "<answer>\nA. bakery\n</answer>",
    "Answer: A\n\nExplanation: The answer is not B because it is wet.",
    "Answer: A.\nB: incorrect because wet.\nC: incorrect since dark.",
    "I believe that the best answer here would be option A, as bakers make bread.",
    "Given the choices, I would select A.",
    "My final answer is A",
    "My final answer: (A) bakery.",
    "final answer is (A)",
    "The right answer is A: bakery",
    "Right answer: A",
    "The correct letter is A.",
    "The correct choice: A",
    "Therefore the correct option is A.",
    "Therefore, among the options provided, the answer would be A. bakery.",
    "A is the correct answer because bakers bake. B and C are not places with ovens.",
    "(A) is the best answer. (B) could be a possibility but is unlikely.",
    "While B might seem right, A is the better choice.",
    "While B might seem correct, the best answer is A.",
    "B seems plausible, however the answer is A.",
    "It could be B, but A is more likely.",
    "Ruling out B, C and D leaves A.",
    "Eliminating B, C, D, and E, we are left with A.",
    "The only remaining option is A.",
    "So only option (A) is left.",
    "Final Answer\nA",
    "Final Answer: **A**",
    "**Final Answer**\n\nA) bakery",
    "## Final Answer\n(A)",
    "Final answer → A",
    "Answer => A",
    "ans: A",
    "Ans. A",
    "The answer is therefore A.",
    "The answer is clearly (A).",
    "The answer is most likely A.",
    "The answer is likely to be A.",
    "The answer should be A",
    "The answer must be (A)",
    "The answer would have to be A.",
    "The answer appears to be A.",
    "The answer seems to be (A) bakery.",
    "The answer here is A",
    "The answer to this question is A.",
    "The answer to the question is: A",
    "The answer is (A), bakery",
    "The answer is (A) because (B) is wet and (C) is dark",
    "So my answer is A.",
    "I'm going with A.",
    "I'll go for A.",
    "I'll say A",
    "I would answer A.",
    "I choose (A).",
    "I vote A.",
    "Let's go with (A).",
    "We choose A",
    "We should select option A.",
    "A\n\nB is wrong.",
    "A\n",
    " A",
    "A)",
    "A:",
    "A.",
    "a.",
    "(a)",
    "a)",
    "[a]",
    "Option a",
    "option (a)",
    "bakery",
    "Bakery.",
    "A bakery",
    "In a bakery.",
    "A baker works at a bakery.",
    "at the bakery",
    "I'm not sure, but I think the answer is A.",
    "I am not certain, but my best guess is A.",
    "Not sure. Probably A.",
    "I'm not 100% sure, but it's likely A.",
    "There is no doubt that the answer is A.",
    "No doubt: A.",
    "Without a doubt, the answer is A.",
    "It is not B, C, D or E. The answer is A.",
    "It is true that the answer is A.",
    "You might think it's B because of water; but the answer is A.",
    "One could argue for B, but A is correct.",
    "Many people choose B, but A is correct.",
    "If I had to choose, I'd pick A.",
    "If we consider ovens, the answer is A.",
    "If it has ovens, then it is a bakery, so A.",
    "Is it B? No. Is it C? No. It's A.",
    "Could it be B? I don't think so. A it is.",
    "Hmm, B? No... A.",
    "B? Wrong. A!",
    "The answer is B. Hmm, wait. Actually, the answer is A.",
    "Answer: B\nWait, let me reconsider.\nAnswer: A",
    "The answer is B. Correction: A.",
    "I said B before, but now I say A.",
    "\\boxed{A}\n\nSo option A is correct and B is incorrect.",
    "$\\boxed{\\text{A. bakery}}$",
    "\\boxed{\\text{Option A}}",
    "\\boxed{\\mathrm{A}}",
    "\\boxed{ (A) }",
    "\\boxed{A)}",
    "\\(\\boxed{A}\\)",
    '{"answer":"A"}',
    '{"answer": "A", "confidence": 0.9}',
    '{"choice": "A. bakery"}',
    "{'answer': 'A'}",
    '```json\n{\n  "answer": "A"\n}\n```',
    "Therefore, the statement that is NOT true is (A).",
    "The option that is not correct is A.",
    "The incorrect statement is (A).",
    "The exception is A.",
    "The false statement is A.",
    "The answer is A, which isn't B.",
    "It's A, isn't it?",
    "The answer is A, right?",
    "Thus, A.",
    "Thus: A",
    "=> A",
    "→ A",
    "✅ A",
    "✅ **A) bakery**",
    "The answer is A 😊",
    "Answer: A ✅",
    "A ✓",
    "Sure! The answer is A.",
    "Sure, here is the answer:\n\nA) bakery",
    "Great question! The correct answer is:\n\n(A) bakery\n\nLet me know if you need more.",
    "Solution: A",
    "Selected option: A",
    "Selected: A",
    "Chosen answer: A",
    "Choice A",
    "Pick: A",
    "Prediction: A",
    "Output: A",
    "Response: A",
    "Result: A",
    "Conclusion: A",
    "Verdict: A",
    "Label: A",
]

before = st.sampled_from(
    ["", "A baker needs an oven. ", "Let us look at the options.\n\n", "<think>Is it A? The answer is E.</think>\n"]
)
pairs = st.permutations("ABCDE").map(lambda letters: letters[:2])


def filled(template: str, pair: list[str]) -> str:
    y, n = pair
    return template.format(y=y, n=n, ty=TEXTS[y], tn=TEXTS[n])


@given(before, st.sampled_from(COMMITS + CORRECTS), pairs)
def test_it_commits_to_the_one_it_takes(before: str, template: str, pair: list[str]) -> None:
    text = f"{before}\n{filled(template, pair)}"
    assert parse_completion(text, "qa", QUERY).answer == pair[0], text


def test_styles_of_many_models() -> None:
    lost = [text for text in STYLES if parse_completion(text, "qa", QUERY).answer != "A"]
    assert lost == []


@given(before, st.sampled_from(COMMITS_TO_NONE), pairs)
def test_what_is_denied_or_said_by_others_is_no_answer(before: str, template: str, pair: list[str]) -> None:
    text = before + filled(template, pair)
    assert parse_completion(text, "qa", QUERY).answer is None, text


@each_row("template", SEVERAL)
def test_two_at_once_are_two(template: str) -> None:
    text = filled(template, ["B", "D"])
    assert read_choice(text, options(QUERY)).letters == ("B", "D")
    assert parse_completion(text, "qa", QUERY).answer is None


@given(st.sampled_from(COMMITS + CORRECTS), st.sampled_from(CORRECTS), pairs, pairs)
def test_the_last_commitment_counts(first: str, second: str, one: list[str], other: list[str]) -> None:
    if "\\boxed" in first or "<ans>" in first or first == "The answer is {ty}.":
        return
    text = f"{filled(first, one)}\n\nOn reflection:\n{filled(second, other)}"
    assert parse_completion(text, "qa", QUERY).answer == other[0], text


@each_row(
    ("query", "found"),
    [
        ("Q?\n(A) x\n(B) y", {"A": "x", "B": "y"}),
        ("Q? (A) x (B) y", {"A": "x", "B": "y"}),
        ("Q?\nA. x\nB. y", {"A": "x", "B": "y"}),
        ("Q?\na) x\nb) y", {"A": "x", "B": "y"}),
        ("Q?\n- A: x\n- B: y", {"A": "x", "B": "y"}),
        ("Q?\n**A.** x\n**B.** y", {"A": "x", "B": "y"}),
        ("Q? A. x B. y C. z", {"A": "x", "B": "y", "C": "z"}),
        ("Q? Options: A) x, B) y", {"A": "x", "B": "y"}),
        ("Is it valid?\nOptions:\n- valid\n- invalid", {"valid": "valid", "invalid": "invalid"}),
        ("Is it so?", {}),
        ("Who wrote (A) and why?", {}),
        ("Q?\n(A) vitamin (K) pills\n(B) f(N)", {"A": "vitamin (K) pills", "B": "f(N)"}),
        ("Q?\n" + "\n".join(f"({c}) t{c}" for c in "ABCDEFGHIJKLMN"), {c: f"t{c}" for c in "ABCDEFGHIJKLMN"}),
    ],
)
def test_options_in_every_layout(query: str, found: dict[str, str]) -> None:
    assert options(query) == found


LONG = [
    "I pick ",
    "the answer is not ",
    "so it is ",
    "A or ",
    "correct aa bb cc ",
    "if x ",
    "(A) is",
    "everyone thinks ",
    "A ",
]


@pytest.mark.timeout(120)
def test_time_is_linear_in_the_length() -> None:
    texts = [repeated(pattern, 8_000) for pattern in LONG]
    assert [text[:20] for text in texts if not in_time(partial(parse_completion, text, "qa", QUERY), 0.3)] == []
