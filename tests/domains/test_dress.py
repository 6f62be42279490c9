"""An answer is the same in whatever it is wrapped: tags, JSON, Markdown, LaTeX, quotes, brackets, chat tokens."""

from __future__ import annotations

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linear import in_time, repeated
from memreward.domains import equivalent, parse_completion
from memreward.domains.choice.parse import options
from memreward.domains.completion import parse_rollout
from memreward.domains.shared.dress import answer_region, peeled, plain_markup
from memreward.domains.verifiers import Verifiers
from memreward.types import Claim, Domain, Query
from rows import each_row

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


@each_row(
    "content",
    ["(1, 2)", "[0, 1)", "5!", "f(x)", "{1, 2}", "x+1", "a * b", "", "**", "()", "\\frac{1}{2}", "- 5", "|x|+1"],
)
def test_what_is_no_letter_word_or_number_stays_as_it_is(content: str) -> None:
    assert peeled(content) == content


@each_row(
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
    for text in (
        "analysisaassistantfinalb",
        "<seed:think>a</seed:think>b",
        "<|im_start|>think\na<|im_start|>answer b",
    ):
        assert [part.strip() for part in answer_region(text)[:2] if part] == ["a", "b"], text
    for text in ("<reasoning>a</reasoning>b", "<|begin_of_thought|>a<|end_of_thought|>b", "◁think▷a◁/think▷b"):
        assert answer_region(text)[:2] == ("a", "b")
    assert answer_region("b<reasoning>a</reasoning>")[0] is None, "an explanation after the answer is no thinking"


# What a model goes on with that was not stopped: other questions, in the form of its prompt.
NEXT = [
    "\n\nQ: Which animal barks?\nA: The answer is {other}.",
    "\n\nQuestion: Which animal barks?\nAnswer: {other}",
    "\n\nQuestion 2: Which animal barks?\nLet's think. It has four legs.\nThe answer is {other}.",
    "\n\n**Problem:** Which animal barks?\n**Solution:** \\boxed{{{other}}}",
    "\n\nHuman: And which animal barks?\n\nAssistant: \\boxed{{{other}}}",
    "\n\n### Instruction:\nName it.\n\n### Response:\nThe answer is {other}.",
    "\n\n问题：哪个？\n答案是 {other}",
    "<|im_end|>\n<|im_start|>user\nWhich barks?<|im_end|>\n<|im_start|>assistant\n\\boxed{{{other}}}<|im_end|>",
    "<|endoftext|>Human: Which barks? The answer is {other}.",
    "</s><s>[INST] Which barks? [/INST] <answer>{other}</answer>",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhich?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{other}",
    "<end_of_turn>\n<start_of_turn>user\nWhich?<end_of_turn>\n<start_of_turn>model\nAnswer: {other}",
]
COMMITTED = ["The answer is {own}.", "\\boxed{{{own}}}", "So.\n#### {own}", "<answer>{own}</answer>", "{own}"]


def test_a_conclusion_that_nothing_marks_is_an_answer_too() -> None:
    text = "Nine eggs of 2 dollars each. So she has 18 dollars.\n\nQ: And of 3 dollars?\nA: 27 dollars."
    assert parse_completion(text, "math", "How much has she?").answer == "18"


@each_row("following", NEXT)
@each_row(
    ("domain", "query", "own", "other"),
    [
        ("math", "How many?", "18", "3"),
        ("qa", CHOICES, "A", "B"),
        ("qa", "Is it?", "yes", "no"),
        ("other", "Who?", "Ada", "Bob"),
    ],
)
def test_the_answer_is_not_that_of_a_question_made_up_after_it(
    domain: Domain, query: str, own: str, other: str, following: str
) -> None:
    for committed in COMMITTED:
        text = committed.format(own=own) + following.format(other=other)
        found = parse_completion(text, domain, query).answer
        assert found is not None, text
        assert equivalent(found, own, domain, query_text=query), text


def test_what_leads_to_the_answer_is_not_what_follows_it() -> None:
    reply = "Nine eggs of 2 dollars each. The answer is 18.\n\n"
    found = parse_completion(f"{reply}Q: Which barks?\nA: It has 4 legs. The answer is 3.", "math", "How much?")
    assert found.thinking == reply


def test_the_letters_of_another_question_answer_none() -> None:
    other = "\n\nQuestion: Which barks?\n(A) cat\n(B) dog\nAnswer: The answer is (B)."
    assert parse_completion("Bakers need ovens, which are hot" + other, "qa", CHOICES).answer is None
    again = f"Let us see.{other}\n\nQuestion: {CHOICES}\nAnswer: The answer is (A)."
    assert parse_completion(again, "qa", CHOICES).answer == "A"
    assert parse_completion(f"Let us see.\nQuestion: {CHOICES}\nThe answer is (A).", "qa", CHOICES).answer == "A"
    told = (
        "Question: Where?\nOptions: A) bakery B) river bank\nA) Bakery: ovens.\nB) River bank: wet.\nThe answer is A)."
    )
    assert parse_completion(f"Step 1: Identify the question.\n{told}", "qa", CHOICES).answer == "A"


def test_another_question_in_the_same_line() -> None:
    for following in (" Q: And then? A: 3", "Question: And then? The answer is 3."):
        assert parse_completion(f"The answer is 18.{following}", "math", "How much?").answer == "18"


def test_questions_that_lead_to_the_answer_are_part_of_the_reply() -> None:
    for text in (
        "Q1: How many eggs are left?\nA1: 9\n\nQ2: What do they cost?\nA2: 9 * 2 = 18.\nThe answer is 18.",
        "Let us see what is asked.\nQuestion: How much are 9 eggs at $2?\nThe answer is 18.",
        "Question: How much?\nAnswer: 18",
        "Let us break the problem into 2 parts.\n\nQ: How many eggs?\nA: 9\n\nQ: How much?\nA: 18",
        "<answer>17</answer>\nHuman: Are you sure?\nAssistant: No, <answer>18</answer>",
    ):
        assert parse_completion(text, "math", "How much?").answer == "18", text


def test_a_prompt_that_is_repeated_before_the_reply_is_none_of_it() -> None:
    for text in (
        "<|im_start|>user\nIs the answer B?<|im_end|>\n<|im_start|>assistant\nA<|im_end|>",
        "<s>[INST] Which? The answer is B? [/INST] A</s>",
        "<start_of_turn>user\nIs the answer B?<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>",
    ):
        assert parse_completion(text, "qa", CHOICES).answer == "A", text


def test_what_is_struck_ends_no_turn() -> None:
    assert parse_completion("It is <s>river bank</s> a bakery. The answer is A.", "qa", CHOICES).answer == "A"


def test_how_sure_a_model_is_belongs_to_no_answer() -> None:
    for line in ("Confidence: 95%", "**Confidence:** 0.9", "Probability: 0.9", "Confidence (0-100): 90"):
        assert parse_completion(f"So she has 18 of them.\n\n{line}", "math", "How much?").answer == "18"
        assert parse_completion(f"Guess: A\n{line}", "qa", CHOICES).answer == "A"


def test_other_ways_to_hand_in_an_answer() -> None:
    for text in (
        "Thought 2: bread.\nAction 2: Finish[A]",
        "Finish[bakery]",
        '{"predicted_answer": "A"}',
        '{"answer_choice": "A", "explanation": "Bread is baked at',
        '{"selected_option": "A. bakery"}',
        "FINAL_ANSWER: A",
        "The answer (A, B, C, D or E) is A.",
    ):
        assert parse_completion(text, "qa", CHOICES).answer == "A", text


@pytest.mark.parametrize(
    "place", ["<your answer>", "[insert your answer here]", "\\boxed{your answer}", "{put answer here}"]
)
def test_a_place_of_the_template_that_was_left_as_it_was_is_no_answer(place: str) -> None:
    for domain, query, answer in (("qa", CHOICES, "B"), ("math", "How many?", "7")):
        text = f"The answer is {answer}. We looked at it twice.\n\nThe answer is {place}."
        assert parse_completion(text, domain, query).answer == answer
    assert parse_completion(f"There is none. The answer is {place}", "qa", CHOICES).answer is None


def test_closing_brackets_are_an_answer_and_end_a_command_before_one() -> None:
    assert parse_completion("The stack is empty. So the answer is }.", "qa", "Close the brackets: {").answer == "}"
    assert parse_completion("So the answer is } ] }.", "qa", "Close the brackets: { [ {").answer == "} ] }"
    assert parse_completion("$\\text{The answer is: } 5$", "math", "How many?").answer == "5"


def test_the_text_of_an_option_stands_beside_its_letter_where_others_have_a_part_of_it() -> None:
    query = "Half is for Ann and ___ half for Bob.\nA. another  B. the other  C. others  D. other"
    rollout = parse_rollout(Query("q", query, "qa"), "So it is said of the second. Answer: B. the other", id="r")
    assert Verifiers().verify([Claim(rollout, "B")])[0].correct is True


def test_options_are_those_of_the_last_of_several_questions() -> None:
    shown = "Q: Which barks?\nOptions:\n(A) cat\n(B) dog\n(C) cow\nA: So the answer is (B).\n\n"
    asked = shown + "Q: Which flies?\nOptions:\n(A) bird\n(B) bear\nA: Let's think."
    assert options(asked) == {"A": "bird", "B": "bear"}
    assert parse_completion("Not a cow. The answer is (C).", "qa", asked).answer is None


def test_options_are_the_lines_and_not_letters_in_the_question() -> None:
    query = "Which acid (A) and which base (B) react?\n\nA) A = HCl\nB) A = HBr\nC) B = NaOH\nD) B = KOH"
    assert [*options(query)] == ["A", "B", "C", "D"]


@each_row(
    "listed",
    [
        "Answer Choices:(a) oak(b) elm(c) fir",
        "Answer Choices: a) oak b) elm c) fir",
        "A)oak B)elm C)fir",
        "Options: ['A)oak', 'B)elm', 'C)fir']",
        "Options: {'A': 'oak', 'B': 'elm', 'C': 'fir'}",
        "Options: [A] oak [B] elm [C] fir",
        "Option A: oak\nOption B: elm\nOption C: fir",
        "Options:\nA、oak\nB、elm\nC、fir",
        "A. oak  B. elm\nC. fir",
        "A．oak  B．elm\nC．fir",
        "Is it A. oak or B. elm or C. fir ?\nAnswer:",
        "(A)\noak\n(B)\nelm\n\n(C)\nfir",
        "$\\textbf{(A)}\\ oak\\qquad\\textbf{(B)}\\ elm \\qquad \\textbf{(C) }fir",
        "Options: a ) oak , b ) elm , c ) fir",
        "Choice A: oak\nChoice B: elm\nChoice C: fir",
        "option_a: oak\noption_b: elm\noption_c: fir",
        '{"A": "oak", "B": "elm", "C": "fir"}',
    ],
)
def test_options_in_many_forms(listed: str) -> None:
    assert options(f"Which tree?\n{listed}") == {"A": "oak", "B": "elm", "C": "fir"}


def test_a_letter_in_the_text_of_an_option_begins_none() -> None:
    assert options("Which?\nA. oak\nB. elm by C. Smith\nC. fir") == {"A": "oak", "B": "elm by C. Smith", "C": "fir"}


@pytest.mark.parametrize(
    "text",
    [
        "A. 3 words.\nThe place is A. bakery. It has ovens, as (B) has none.",
        "Let's see.\n\nB. river bank\n - no oven\n\nSo the place that 1 of them works in is:\n\n**A. bakery**",
        "The place with the ovens is:\n\nA. bakery\n\nAnother is a river bank (B), which is wet.",
        "【答案】A<eoa>",
        "A\n------\nContext:\nCooks.\n\nQuestion: Where does a cook work?\nOptions:\n(A) bakery\n(B) river bank\nIt",
        "So.\nFinal Answer: A\n```\nA\n```\n```python\noptions = {'B': 'river bank'",
    ],
)
def test_an_option_in_the_replies_of_many_models(text: str) -> None:
    assert parse_completion(text, "qa", CHOICES).answer == "A"


def test_the_first_option_of_a_list_is_no_answer() -> None:
    for text in (
        "Bakers work in a place that is:\n(A) bakery\n(B) river bank\n(C) coal mine\nHm",
        "I doubt it is A. bakery.",
    ):
        assert parse_completion(text, "qa", CHOICES).answer is None, text


def test_the_stars_of_a_list_are_no_footnote() -> None:
    for text, correct in (("* Ovens.\n* Heat.\n* Bread.\n\nIt is **A**", True), ("Ovens. It is A*", None)):
        rollout = parse_rollout(Query("q", CHOICES, "qa"), text, id="r")
        assert Verifiers().verify([Claim(rollout, "A")])[0].correct is correct, text


@pytest.mark.parametrize(
    ("text", "stance"),
    [
        ("Final decision: maybe", "maybe"),
        ("It is unclear.\n\nThe hypothesis is **uncertain**.", "unknown"),
        ("The answer is: Unknown", "unknown"),
        ("Label: neutral", "neutral"),
        ("It follows. So the relation is entailment.", "entailment"),
        ("It is a town.\n\nANSWER: YES with 90% probability", "yes"),
        ("Final decision: no.", "no"),
    ],
)
def test_words_of_a_closed_set_answer_a_question_without_options(text: str, stance: str) -> None:
    rollout = parse_rollout(Query("q", "Does it follow?", "qa"), text, id="r")
    assert rollout.answer == stance
    verdicts = [verdict.correct for verdict in Verifiers().verify([Claim(rollout, stance), Claim(rollout, "false")])]
    assert verdicts == [True, stance == "no"]


def test_true_false_and_uncertain_as_options() -> None:
    query = "Is it so?\nA) True\nB) False\nC) Uncertain"
    for text, letter in (
        ("Therefore, the statement is false.", "B"),
        ("There is no proof, so it is true.\nThe statement is uncertain.", "C"),
        ("There is no proof", None),
        ('It has wings. Therefore, the statement "The whale can fly" is true.', "A"),
        ("Based on the rules above, the statement **The whale is dry** is **false** because it swims.", "B"),
        ("Thus, according to the text, the claim that it is old is uncertain given what is known.", "C"),
        ("The statement that it is old is not true in general", None),
    ):
        assert parse_completion(text, "qa", query).answer == letter, text


def test_an_option_of_which_the_last_line_says_that_it_is_true() -> None:
    said = 'Let us see.\n- The statement "coal mine" is true based on what we know.'
    assert parse_completion(said, "qa", CHOICES).answer == "C"
    assert parse_completion(said.replace("true", "false"), "qa", CHOICES).answer is None


def test_other_words_beside_yes_and_no_are_options_like_any() -> None:
    query = "Does it change?\n(A) Yes\n(B) No\n(C) sometimes\n(D) maybe"
    for text, letter in (
        ("No, it does not. The answer is (B).", "B"),
        ("It changes a little. The answer is (A).", "A"),
        ("It grows. The answer is sometimes.", "C"),
        ("It grows, and then it shrinks", None),
    ):
        assert parse_completion(text, "qa", query).answer == letter, text


@each_row(
    ("text", "answer"),
    [
        ("The seat of the oldest of them is **Bologna**. It lies in Italy.", "Bologna"),
        ("**Bologna** is the seat of the oldest of them.\n\nIt lies in Italy.", "Bologna"),
        ("Bologna\n\nExplanation: It is older than all the others.", "Bologna"),
        ("There are several old ones.\n\nThe oldest of all of them is: Bologna.", "Bologna"),
        ('Many towns have one.\nThe town with the oldest of them is "Bologna".', "Bologna"),
        (
            "I doubt that it is **Bologna**. It lies in Italy, and others in England are older than it is, they say.",
            None,
        ),
        ("Either it is **Bologna**, some say.\n\nOthers say that it is **Oxford**, in two books.", None),
        ("Let us see.\n\nThe first is **Bologna**, a town.\n\nAnd then there are others, which are older.", None),
    ],
)
def test_a_short_answer_in_the_replies_of_chat_models(text: str, answer: str | None) -> None:
    for domain in ("qa", "other"):
        found = parse_completion(text, domain, "Which university is the oldest?").answer
        assert found == answer or (answer and found and found.startswith(answer)), found


def test_letters_of_functions_are_no_options() -> None:
    for query in ("Of the choices: f(a) or f(b)?", "What are the answers: (a) 3 (b) 5", "draw(B--A); draw(A--B);"):
        assert options(query) == {}, query


def test_options_with_their_letter_twice() -> None:
    twice = "Where?\nOptions: (A) A): cut grass (B) B): paper cups"
    assert parse_completion("The answer is paper cups.", "qa", twice).answer == "B"


@each_row(
    ("text", "said"),
    [
        ("It is big.\nTherefore, the answer (Yes or No) is No.", "no"),
        ("Therefore, the answer (Yes or No) is:\n\nYes, it fits well.", "yes"),
        ("A whale is long. In conclusion, no, it does not fit.", "no"),
        ("Whales are small enough. I would say yes.", "yes"),
        ("It has been measured. Conclusion: Yes", "yes"),
    ],
)
def test_yes_or_no_at_the_end_of_a_reply(text: str, said: str) -> None:
    assert parse_completion(text, "qa", "Does a whale fit in?").answer == said


@each_row(
    ("text", "number"),
    [
        ("So.\n**最终答案**：安娜每天赚 **18 美元**。", "18"),
        ("**最终答案**：540 米", "540"),
        ("所以，答案是 18 美元。", "18"),
        ("综上，她每天可以赚到18美元。", "18"),
        ("彼女は毎日18ドルを稼ぎます。", "18"),
        ("18 डॉलर", "18"),
        ("答案：١٨", "18"),
        ("ดังนั้นคำตอบคือ 18 ดอลลาร์", "18"),
        ("Jibu ni 18.", "18"),
        ("这袋米一共重18千克。", "18"),
        ("Он пробежал всего 18 раз.", "18"),
        ("-$18 million", "-18 million"),
        ("$$\n\\text{ANSWER: } \\$18\n$$", "18"),
        ("\\text{The answer is } 18.", "18"),
        ("So she earns $18 (2 eggs at $9).", "18"),
        ("The answer is $18 (2 eggs at $9).", "18"),
        ("Hence, $x$ = 18", "18"),
        ("উত্তর হল 18।", "18"),
        ("జవాబు 18.", "18"),
        ("उत्तर 18 है।", "18"),
        ("Bu nedenle cevap 18 dolardır.", "18"),
        ("她赚了 3万 元。", None),
        ("下载需要160分钟。", "160"),
        ("Итого.\nОтвет: **18 долларов**.", "18"),
        ("Therefore, the answer (arabic numerals) is 18.", "18"),
        ("We round.\n\nFINAL_ANSWER: 18.0", "18"),
        ("#### The answer is 18", "18"),
        ("She earns 9 * 2 = 18 dollars.\n\nI checked it, and the answer is correct.", "18"),
        ("The answer is 18. So our answer is reasonable.", "18"),
        ("The answer is 18. Therefore, the result is consistent with the given data.", "18"),
        ("The final answer is as follows:\n\n18", "18"),
        ("The answer is rounded to 18.", "18"),
        ("Thus, she earns $18 if they share it with 2 more. #### 18", "18"),
        ("She earns $9 * 2 = 18$. #### 18\n", "18"),
        ("A: Let's think step by step.\nThere are 9 of 2 each.\nThe answer is 18.", "18"),
        ("A: There are 9 of 2 each. The answer is 18.", "18"),
        ("0.\\overline{7}-0.\\overline{2} = \\frac{7-2}{9} = \\frac{5}{9}", "\\frac{5}{9}"),
        ("答案是 3 万。", None),
        ("Ответ: 5 тысяч", None),
        ("So she earns 18.\n\nFinal Answer: $#### 18", "18"),
        ("Answer: The number of eggs which she sells at the market without leaving any behind is 18 eggs.", "18"),
        ("<answer>First, she has 9 eggs. Then she sells them at 2 each. So she earns 18 dollars.</answer>", "18"),
        ("2 cups + 16 cups = 18 cups.", "18"),
        ("<answer>so she sells 18 eggs at the market each day</answer>", "18"),
        ("<answer>9 bags x 2 eggs / bag = 18 eggs</answer>", "18"),
        ("We add them.<br>It makes 18<br>", "18"),
        ("The solution to the question is that there are one hundred and eighteen hens in the yard.", "118"),
        ("That makes 26. This answer is wrong because it leaves one out.\nWithout it she has 18.", "18"),
        ("The right solution is:\n1. Count the eggs first.\n2. Sell them.\nSo she earns 18.", "18"),
        ("It is 9 * 2 = 18.\nUser: How many days are in a year?\nAssistant: <think> It has 365. </think>", "18"),
        ("1 1/4 cup + 1 1/4 cup = 2 1/2 cups.", "2.5"),
        ("The three numbers are 5, 6, and 7.", "5, 6, 7"),
        ("The two numbers are 5 and -7.", "5, -7"),
        ("Its domain is (-∞, 3) ∪ (3, ∞).", "(-\\infty, 3) \\cup (3, \\infty)"),
        ("By the power rule, the derivative is f'(x) = 6x + 2.", "6x + 2"),
        ("We factor it.\nThus 3x^2 - 5x - 2 = (3x + 1)(x - 2).", "(3x+1)(x-2)"),
        ("It is:\n\nf(x) = x^x * (ln(x) + 1)\n\nwhere ln is the natural logarithm.", "x^x (\\ln x + 1)"),
        ("The area of the disc is 25π square units.", "25\\pi"),
        ("So the side is 3√2 cm.", "3\\sqrt{2}"),
        ("It is 0.\\overline{6} - 0.\\overline{2} = \\frac{6}{9} - \\frac{2}{9} = \\frac{4}{9}", "\\frac{4}{9}"),
        ("So she walks 9 * 2 = 18 m.", "18"),
        ("The sum that we look for is 2m + 3n = 18.", "18"),
        ("It takes her 18s.", "18"),
    ],
)
def test_numbers_in_the_dress_of_many_models(text: str, number: str | None) -> None:
    found = parse_completion(text, "math", "How much?").answer
    assert found is not None
    assert equivalent(found, number, "math") if number else not equivalent(found, found.split()[0], "math")


@each_row(
    ("text", "asked"),
    [
        ("Therefore, Ann pays $18 each month for 3 months.", "How much does Ann pay each month for 3 months?"),
        ("Answer: Ann pays $18 each month for 3 months.", "How much does Ann pay each month for 3 months?"),
        ("Answer:\nAnn earns $18/day after 4 years.", "What does Ann earn a day after 4 years?"),
        ("Answer: Ann drives 18 miles (9 gallons x 2 miles/gallon = 18 miles).", "How many miles does Ann drive?"),
        ("<answer>She has 36. So she fills 18 boxes with 2 hats each.</answer>", "How many boxes does she fill?"),
        ("9 * 2 = 18.\nSo 18 bees come back in the last 6 hours.", "How many bees come back in the last 6 hours?"),
    ],
)
def test_a_number_of_the_question_beside_the_answer_is_none(text: str, asked: str) -> None:
    assert equivalent(parse_completion(text, "math", asked).answer or "", "18", "math")
    assert parse_completion("So 18 of the 6 leave, and 5 stay.", "math", asked).answer == "5"


@each_row(
    "text",
    [
        "import math\n\ndef solution():\n    bags = 20\n    return bags * 5\n",
        "def solution():\n    eggs = 18\n    result = eggs\n    return result",
        "eggs = 18\ntotal_price = eggs * price_each",
        "We divide: 18 / 4 = 4.5.\n\nHence there is no solution to this problem.",
        "Some are missing.\nIt is not possible to determine how many more she needs to have all of the 18.",
    ],
)
def test_numbers_of_a_program_or_before_a_refusal_are_no_answer(text: str) -> None:
    assert parse_completion(text, "math", "How much?").answer is None
    assert parse_completion(f"{text}\n\nThe answer is 18.", "math", "How much?").answer == "18"


@pytest.mark.parametrize("text", ["La réponse est $18.", "\\boxed{\\$18}", "$18", "#### $18"])
def test_the_sign_of_a_currency_is_no_part_of_a_number_unless_another_is_asked_for(text: str) -> None:
    assert parse_completion(text, "math", "Combien gagne-t-elle ?").answer == "18"
    assert "$" in (parse_completion(text, "math", "Combien gagne-t-elle, en euros ?").answer or "")


ZH_LABELS = ["A. %s", "A、%s", "A．%s", "（A）%s", "A：%s"]


@each_row("label", ZH_LABELS)
def test_options_and_letters_in_chinese(label: str) -> None:
    animals = ("猫", "狗", "牛")
    lines = [label.replace("A", letter) % animal for letter, animal in zip("ABC", animals, strict=True)]
    for asked in ("哪种动物会叫？\n" + "\n".join(lines), "哪种动物会叫？（ ）" + " ".join(lines)):
        assert options(asked) == dict(zip("ABC", animals, strict=True))
        for reply in (
            "B、狗",
            "B．狗",
            "狗",
            "答案：狗",
            "因此选项B正确。",
            "B项正确，其余错误。",
            "A项错误，B项正确，C项错误。",
            "应选B项。",
            "故本题答案为B选项。",
            "因此，B是正确答案。",
            "正确答案是选项B：狗。",
        ):
            assert parse_completion(reply, "qa", asked).answer == "B"
        for reply in ("选项B不正确。", "选项B正确吗？", "A和B正确。", "B的正确率高。"):
            assert parse_completion(reply, "qa", asked).answer is None


def test_what_is_said_of_each_option() -> None:
    said = "- Option A: wrong, a shop.\n- Option B: wrong.\n- Option C: correct, it is deep.\n- Option D: wrong."
    said += "\n- Option E: wrong."
    assert parse_completion(said, "qa", CHOICES).answer == "C"
    assert parse_completion("The answer is C.\nA: bakery\nB: river bank", "qa", CHOICES).answer == "C"
    assert parse_completion("Q: Where?\nA: coal mine", "qa", CHOICES).answer == "C"


def test_points_are_no_options() -> None:
    assert options("点 A、B、C 在圆上，求∠ABC。") == {}


@each_row(
    "text",
    [
        "Die korrekte Antwort lautet B.",
        "Por lo tanto, la respuesta correcta es la opción B.",
        "Portanto, a alternativa correta é B.",
        "A alternativa correta é a B.",
        "Ответ B.",
        "よって、Bが正解です。",
        "따라서 답은 B이다.",
        "الإجابة الصحيحة هي B.",
        "Jawaban yang benar adalah B.",
        "Jadi, jawabannya adalah B.",
        "Jawaban: B",
    ],
)
def test_a_letter_in_other_languages(text: str) -> None:
    assert parse_completion(text, "qa", CHOICES).answer == "B"


PROMPTS = [
    "Below is an instruction that describes a task. Complete it.\n\n### Instruction:\n%s\n\n### Response:",
    "### Instruction:\nThe answer is to be short.\n\n### Input:\n%s\n\n### Response:\n",
    "A chat between a curious user and an assistant. USER: %s ASSISTANT:",
    "### Human: %s\n### Assistant:",
    "User: %s\nAssistant:",
    "Question: %s\nAnswer:",
    "Q: %s\nA: Let's think step by step.",
    "Problem:\n%s\n\nSolution:",
]


@each_row("prompt", PROMPTS)
def test_a_prompt_in_plain_text_before_the_reply_is_no_part_of_it(prompt: str) -> None:
    asked = "Ann sells 9 eggs at 2 dollars each. What does she get, with 4 digits?"
    for reply in ("18", "She gets 9 * 2 = 18 dollars.", "The answer is 18.", "18</s>"):
        assert parse_completion(f"{prompt % asked} {reply}", "math", asked).answer == "18"
    for reply in ("A", "(A) bakery", "bakery", "The answer is A.", "So it is (A)."):
        assert parse_completion(f"{prompt % CHOICES} {reply}", "qa", CHOICES).answer == "A"


def test_a_letter_below_another_question_is_not_right() -> None:
    rollout = parse_rollout(Query("q", CHOICES, "qa"), "Q: Where does a cook work?\n(A) kitchen\n(B) sea\nA: A", id="r")
    assert Verifiers().verify([Claim(rollout, "A")])[0].correct is None
    rollout = parse_rollout(Query("q", CHOICES, "qa"), f"Q: {CHOICES}\nA: A", id="r")
    assert Verifiers().verify([Claim(rollout, "A")])[0].correct is True


def test_of_several_questions_before_a_reply_the_last_is_its_own() -> None:
    examples = "Q: What is 2 + 3?\nA: The answer is 5.\n\nQ: What is 9 * 2?\nA: The answer is 18."
    assert parse_completion(examples, "math", "What is 9 * 2?").answer == "18"
    ramble = (
        "### Instruction:\nWhat is 9 * 2?\n\n### Response: 18\n\n### Instruction:\nWhat is 2 + 3?\n\n### Response: 5"
    )
    assert parse_completion(ramble, "math", "What is 9 * 2?").answer == "18"


@each_row(
    ("text", "number"),
    [
        ("The answer is 18 (9 * 2).", "18"),
        ("She has 9 eggs.\n\nSo she gets $18 ($9 * 2).", "18"),
        ("She has 9 eggs.\n\nShe gets 18 dollars (9 x 2).", "18"),
        ("**Answer: 18** (9 × 2)", "18"),
        ("The total is 18 (that is, 9 + 9).", "18"),
        ("The answer is 18 (9 + 8).", "306"),  # not how 18 comes about
        ("$18 (9 + 9)$", "324"),
        ("She gets 9 * $2 = $<<9*2=18>>18 a day.", "18"),
        ("She gets $2 for each egg, so it is 9 * 2 = 18 in all.", "18"),
        ("It goes fast.\n\nIt is 3.0 x 10^8 m/s.", "300000000"),
        ("It goes fast.\n\nv ≈ 3 × 10⁸ m/s", "300000000"),
        ("It goes fast.\n\nThis is 10^8, no, 3 x 10^8 times 1, and it goes 9", "9"),
        ("The answer is 3.0x10^8.", "3.0 \\times 10^8"),
        ("It costs much.\n\nIt costs $2.5 million.", "2500000"),
        ("She eats some.\n\nShe eats 3½ of them.", "3.5"),
    ],
)
def test_how_a_number_came_about_is_no_part_of_it(text: str, number: str) -> None:
    found = parse_completion(text, "math", "How much does she get?").answer
    assert found is not None
    assert equivalent(found.strip("$"), number, "math", query_text="How much does she get?")


def test_a_word_that_is_no_option_names_none() -> None:
    for text in ("The answer is plausible.", "<ans>plausible</ans>", "plausible", "**Plausible**"):
        assert parse_completion(text, "qa", CHOICES).answer is None


LONG = [
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
    "Q: a\n",
    "x. Q: ",
    "<|im_end|>",
    "a</s>",
    "\nConfidence: 9",
    "finish[",
    "正确B",
    "USER: ",
    "18 (9 * 2",
]


@pytest.mark.timeout(60)
def test_time_is_linear_in_the_length() -> None:
    def read(text: str) -> None:
        answer_region(text)
        peeled(text)
        parse_completion(text, "math", "How much?")

    assert [pattern for pattern in LONG if not in_time(partial(read, repeated(pattern)), 0.5)] == []
