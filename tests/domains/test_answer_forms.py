"""Real forms of completions, in own words: where the answer is found, and what it is."""

from __future__ import annotations

from memreward.domains import equivalent, parse_completion, parse_rollout
from memreward.types import Query
from rows import each_row

CHOICES = "Where does a baker work?\n(A) bakery\n(B) river bank\n(C) coal mine\n(D) post office\n(E) cinema"

MATH = [
    ("<think>two plus two</think>\nThe sum is \\boxed{4}.", "4", "boxed"),
    ("two plus two is four</think>\n\\boxed{4}", "4", "boxed"),
    ("<think>two plus two</think>4", "4", "think_tag"),
    ("<think>a</think><answer>12</answer>", "12", "answer_tag"),
    ("<think>a</think>\n<answer>\\boxed{12}</answer>", "12", "answer_tag"),
    ("<answer>7</answer> wait <answer>8</answer>", "8", "answer_tag"),
    ("<answer>9", "9", "answer_tag"),
    ("<ANSWER> 9 </ANSWER>", "9", "answer_tag"),
    ("<answer>The answer is $15$.</answer>", "15", "answer_tag"),
    ("She has 3 + 4 = <<3+4=7>>7 eggs.\n#### 7", "7", "hash"),
    ("So it is\n####  1,234 ", "1,234", "hash"),
    ("#### 5\nOn reflection:\n#### 6", "6", "hash"),
    ("#### $18", "18", "hash"),
    ("He needs 60/3 = <<60/3=20.0>>20 days.\nA: 20", "20", "a_line"),
    ("A: 540", "540", "a_line"),
    ("A: <<5*4=20>>20", "20", "a_line"),
    ("Thus $x = \\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}", "boxed"),
    ("\\boxed{1} then corrected to \\boxed{2}", "2", "boxed"),
    ("\\fbox{3}", "3", "boxed"),
    ("\\boxed{\\boxed{3}}", "3", "boxed"),
    ("\\boxed 3", "3", "boxed"),
    ("\\boxed{\\left\\{1, 2\\right\\}}", "1,2", "boxed"),
    ("\\boxed{x^{2^{n}}}", "x^{2^{n}}", "boxed"),
    ("a } stray brace, \\boxed{11}", "11", "boxed"),
    ("an open { brace, \\boxed{11}", "11", "boxed"),
    ("\\boxed{10} and, cut off, \\boxed{1", "10", "boxed"),
    ("\\boxed{\n 42 \n}", "42", "boxed"),
    ("**Final Answer:** 42", "42", "phrase"),
    ("**Final answer**: $\\frac{3}{4}$", "3/4", "phrase"),
    ("The answer is 42.", "42", "phrase"),
    ("The answer is 3.5.", "3.5", "phrase"),
    ("The final answer is $x = 5$.", "5", "phrase"),
    ("So the answer is: 1,000 dollars.", "1000", "phrase"),
    ("the answer is $1,250.50 per year", "$1250.5", "phrase"),
    ("Answer: -7", "-7", "phrase"),
    ("Final Answer:\n12", "12", "phrase"),
    ("The answer is\n\\[\n15\n\\]", "15", "phrase"),
    ("The answer is 12 because 3 times 4 is 12, and 5 is odd.", "12", "phrase"),
    ("The answer is \\(2\\sqrt{3}\\) units.", "2\\sqrt{3}", "phrase"),
    ("First the answer is 3. No, the answer is 4.", "4", "phrase"),
    ("17", "17", "text"),
    ("$\\sqrt{2}$", "\\sqrt{2}", "text"),
    ("We add 3 and 4 to get 7 of them in the end", "7", "last_number"),
    ("The total comes to 1,500 for the whole\nof the year.", "1500", "last_number"),
    ("It comes to half of it.\nTherefore 1/2 of the cake is what remains here", "1/2", "last_number"),
    ("```python\nprint(99)\n```\n```output\n12\n```\nThe program is done and right", "12", "last_number"),
    ("<think>perhaps 5, or 6", None, "none"),
    ("<think>perhaps the answer is 5, but", None, "none"),
    ("<think>it is \\boxed{5}, let me check", "5", "boxed"),
    ("<think>it is \\boxed{5}</think>", "5", "boxed"),
    ("<think>a</think> first <think> again, 7", None, "none"),
    ("", None, "none"),
    ("   \n", None, "none"),
    ("There is no such quantity, as was shown.", None, "none"),
]

CHOICE = [
    ("B", "B", "letter"),
    ("(B)", "B", "letter"),
    ("B.", "B", "letter"),
    ("B)", "B", "letter"),
    ("b", "B", "letter"),
    ("**B**", "B", "letter"),
    ("option B", "B", "letter"),
    ("Option (B)", "B", "letter"),
    ("(B) river bank", "B", "letter"),
    ("B. river bank", "B", "letter"),
    ("River bank.", "B", "letter"),
    ("\\boxed{B}", "B", "boxed"),
    ("\\boxed{(B) river bank}", "B", "boxed"),
    ("\\boxed{\\text{B}}", "B", "boxed"),
    ("\\boxed{\\text{(B) river bank}}", "B", "boxed"),
    ("\\boxed{river bank}", "B", "boxed"),
    ("<answer>B</answer>", "B", "answer_tag"),
    ("<answer>The answer is (B).</answer>", "B", "answer_tag"),
    ("<think>(A) or (C)?</think>\nThe answer is (B).", "B", "phrase"),
    ("#### B", "B", "hash"),
    ("A: B", "B", "a_line"),
    ("The answer is (B).", "B", "phrase"),
    ("The answer is B.", "B", "phrase"),
    ("The answer is B", "B", "phrase"),
    ("The answer is **B**.", "B", "phrase"),
    ("Answer: B", "B", "phrase"),
    ("**Answer:** (B) river bank", "B", "phrase"),
    ("The correct choice is (B).", "B", "phrase"),
    ("The answer is river bank.", "B", "phrase"),
    ("First I thought the answer is (A). Now the answer is (B).", "B", "phrase"),
    ("(A) is a shop and (C) is dark.\nTherefore, the best answer is (B).", "B", "phrase"),
    ("A mine has no oven. So option (B) is correct.", "B", "letter"),
    ("Ovens are not in (A), one might say.\nAll considered, I would go with (B).", "B", "letter"),
    ("It has no oven.\nThe most likely place of work for someone who fishes there is a river bank.", "B", "letter"),
    ("B\n\nExplanation: A 53-year-old man who fishes is most likely to be found there.", "B", "letter"),
    ("It has no oven.\nA 53-year-old man is most likely to fish there, as was said of him.", None, "none"),
    ("It has no oven.\nA CT scan is the best next step for everyone who was there.", None, "none"),
    ("The answer is (B) river bank, not (A) bakery.", "B", "phrase"),
    ("The answer is either (A) bakery or (B) river bank.", None, "none"),
    ("Therefore, the answer is (B) river bank, (C) coal mine, and (E) cinema.", None, "none"),
    ("Therefore, the answer is B) River Bank, C) Coal Mine.", None, "none"),
    ("\\boxed{(B) river bank} and \\boxed{(E) cinema}", None, "none"),
    ("\\boxed{(B) \\text{river bank}, (C) \\text{coal mine}}", None, "none"),
    ("It has no oven.\nIt is not true that the most likely place is a river bank.", None, "none"),
    ("The answer is A dog.", None, "none"),
    ("I cannot tell.", None, "none"),
    ("(H)", None, "none"),
]


@each_row(("text", "answer", "form"), MATH)
def test_math_forms(text: str, answer: str | None, form: str) -> None:
    completion = parse_completion(text, "math")
    assert completion.form == form
    if answer is None:
        assert completion.answer is None
    else:
        assert completion.answer is not None
        assert equivalent(completion.answer, answer, "math"), completion.answer


@each_row(("text", "letter", "form"), CHOICE)
def test_choice_forms(text: str, letter: str | None, form: str) -> None:
    completion = parse_completion(text, "qa", CHOICES)
    assert (completion.answer, completion.form) == (letter, form)


@each_row("letter", "ABCDEFGHIJ")
def test_every_letter_without_known_options(letter: str) -> None:
    for text in (letter, f"({letter})", f"{letter}.", f"**{letter}**", f"Answer: {letter}", f"\\boxed{{{letter}}}"):
        assert parse_completion(text, "qa").answer == letter


def test_thinking_is_the_part_that_leads_to_the_answer() -> None:
    assert parse_completion("<think>add them</think>\n#### 4", "math").thinking == "add them"
    assert parse_completion("add them</think>\n#### 4", "math").thinking == "add them"
    assert parse_completion("<think>add th", "math").thinking == "add th"
    assert parse_completion("Add them.\n#### 4", "math").thinking == "Add them."
    assert parse_completion("Add them.\nA: 4", "math").thinking == "Add them."
    assert parse_completion("Add them. <answer>4</answer>", "math").thinking == "Add them."
    assert parse_completion("Add them, so \\boxed{4}.", "math").thinking == "Add them, so \\boxed{4}."
    assert parse_completion("(B)", "qa", CHOICES).thinking == "(B)"


def test_other_takes_the_same_forms_but_guesses_no_number() -> None:
    assert parse_completion("So the answer is Paris.", "other").answer == "Paris"
    assert parse_completion("<answer>Paris</answer>", "other").answer == "Paris"
    assert parse_completion("Paris", "other").answer == "Paris"
    assert parse_completion("It was founded in 1200.\nNobody knows by whom.", "other").answer is None


def test_rollout_keeps_what_it_is_given() -> None:
    query = Query("q", "How many?", "math")
    rollout = parse_rollout(
        query, "Two.\n#### 2", id="r", policy_version="step-3", token_logprobs=[-0.5, -1], truncated=False
    )
    assert (rollout.query, rollout.text, rollout.thinking, rollout.answer) == (query, "Two.\n#### 2", "Two.", "2")
    assert (rollout.id, rollout.policy_version, rollout.truncated) == ("r", "step-3", False)
    assert rollout.token_logprobs == (-0.5, -1.0)
    assert parse_rollout(query, "", id="s").answer is None


def test_a_number_that_is_denied_behind_it_is_no_answer() -> None:
    for text in ("print(a_1)\n\nNameError: name 'a_12' is not defined", "This is not true, so $x = 5$ is not a root."):
        assert parse_completion(text, "math").answer is None, text
    assert parse_completion("The answer is 43. It is not 326", "math").answer == "43"


@each_row(
    ("text", "question", "answer"),
    [
        ("There are no shelves with exactly 39 books.", "How many shelves have exactly 39 books?", "0"),
        ("There are two jars with more than 9 pens.", "How many jars have more than 9 pens?", "two"),
        ("There are no more than 9 pens.", "How many pens does he have, more than 9?", None),
        ("There are two red plums among the 30.", "How many of the 30 plums are red?", "two"),
        ("The jug holds at its brim, which is **600 ml**.\n\nThe marks are 300 ml and 100 ml.", "How much?", "600 ml"),
        ("The first part is **60**.\n\nThe second is **20**, and both make 80.", "How much?", "80"),
    ],
)
def test_a_number_that_the_question_asks_with_is_no_answer(text: str, question: str, answer: str | None) -> None:
    assert parse_completion(text, "math", question).answer == answer
