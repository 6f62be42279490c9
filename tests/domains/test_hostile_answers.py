r"""Replies whose truth is known and which mention the reference without giving it; none may be called right.

{t} is the reference and {o} another number; of the multiple-choice question the right option is A, (A) bakery.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from memreward.domains import Verifiers, parse_rollout
from memreward.domains.math.verify import MathVerifier
from memreward.types import Claim, Domain, Query
from rows import each_row

Drawn = Callable[[Iterable[Any]], list[Any]]

NUMBERS = [
    "The answer is not {t}.",
    "The answer cannot be {t}.",
    "The answer is anything but {t}.",
    "The answer is certainly not {t}",
    "The answer is never {t}.",
    "The answer is no longer {t}.",
    "The answer is less than {t}.",
    "The answer is more than {t}.",
    "The answer is at least {t}.",
    "The answer is at most {t}.",
    "The answer is greater than {t}",
    "The answer is between {t} and {o}.",
    "The answer is {t} or {o}.",
    "The answer is either {t} or {o}.",
    "The answer is {t} and {o}.",
    "The answer is {t}, {o}.",
    "The answer is {t} to {o}.",
    "The answer is {t}-{o}.",
    "The answer is {t}?",
    "Is the answer {t}?",
    "The answer is {t} million.",
    "The answer is {t} hundred.",
    "The answer is {t} dozen.",
    "The answer is {t}k.",
    "The answer is {t}K",
    "The answer is {t}M.",
    "The answer is {t}bn",
    "The answer is {t} thousandths.",
    "The answer is {t} tenths.",
    "The answer is {t}!.",
    "The answer is {t}²",
    "The answer is √{t}",
    "The answer is {t} factorial",
    "The answer is {t}%.",
    "The answer is {t} percent.",
    "The answer is {t}/{o}.",
    "The answer is {t}i",
    "The answer is {t}x.",
    "The answer is {t} + x",
    "The answer is -{t}.",
    "The answer is minus {t}",
    "The answer is negative {t}.",
    "The answer is - {t}",
    "The answer is −{t}",
    "The answer is –{t}",
    "The answer is —{t}",
    "The answer is .{t}",
    "The answer is {t}.{o}",
    "The answer is {t},{o}",
    "The answer is {t} {t}",
    "The answer is {t}_{o}",
    "The answer is twice {t}.",
    "The answer is double {t}",
    "The answer is half of {t}.",
    "The answer is {t} out of {o}",
    "The answer is {t} over {o}",
    "The answer is {t} per cent",
    r"\boxed{{{t}}} is wrong.",
    r"\boxed{{{t}}} is incorrect",
    r"\boxed{{{t}}} is not the answer.",
    r"\boxed{{{t}}}? No, it is {o}.",
    r"\boxed{{{t}}}? No, {o}.",
    r"\boxed{{{t}}}. No, wait: {o}.",
    r"\boxed{{{t}}}. Actually {o}.",
    r"\boxed{{{t}}}. Actually, it is {o}.",
    r"\boxed{{{t}}}. On second thought the answer is {o}.",
    r"\boxed{{{t}}}. Correction: {o}.",
    r"\boxed{{{t}}}. Correction: \boxed{{{o}}}",
    r"\boxed{{{t}}} \boxed{{{o}}}",
    r"\boxed{{{t}}} or \boxed{{{o}}}",
    r"\boxed{{{t}, {o}}}",
    r"\boxed{{{t} \text{{ or }} {o}}}",
    r"\boxed{{\neq {t}}}",
    r"\boxed{{\ne {t}}}",
    r"\boxed{{x \neq {t}}}",
    r"\boxed{{\not= {t}}}",
    r"\boxed{{>{t}}}",
    r"\boxed{{x > {t}}}",
    r"\boxed{{\ge {t}}}",
    r"\boxed{{\le {t}}}",
    r"\boxed{{<{t}}}",
    r"\boxed{{{t}\%}}",
    r"\boxed{{{t}\text{{ million}}}}",
    r"\boxed{{{t} \text{{ hundred}}}}",
    r"\boxed{{\text{{not }} {t}}}",
    r"\boxed{{\text{{not {t}}}}}",
    r"\boxed{{\text{{less than }}{t}}}",
    r"\boxed{{\text{{more than {t}}}}}",
    r"\boxed{{{t}?}}",
    r"\boxed{{{t}!}}",
    r"\boxed{{\lnot {t}}}",
    r"\boxed{{-{t}}}",
    r"\boxed{{\infty {t}}}",
    r"\boxed{{{t}\infty}}",
    r"\boxed{{({t})!}}",
    r"\boxed{{{t} \text{{ is wrong}}}}",
    r"\boxed{{\text{{It is not }}{t}}}",
    r"\boxed{{\sout{{{t}}}}}",
    r"\boxed{{\cancel{{{t}}}}}",
    r"\boxed{{\xcancel{{{t}}} {o}}}",
    r"\boxed{{\cancel{{{t}}} {o}}}",
    r"\boxed{{{o} \cancel{{{t}}}}}",
    r"\boxed{{{t} \to {o}}}",
    r"\boxed{{{t} \Rightarrow {o}}}",
    r"\boxed{{{t} = {o}}}",
    r"\boxed{{{t} \approx {o}}}",
    r"\boxed{{x = {o}, y = {t}}}",
    r"\boxed{{x={t}, x={o}}}",
    r"\boxed{{A = {t}, B = {o}}}",
    r"\boxed{{{t}; {o}}}",
    r"\boxed{{{t}|{o}}}",
    r"\boxed{{{t} : {o}}}",
    r"\boxed{{\{{{t}, {o}\}}}}",
    r"\boxed{{\{{{t}\}} \cup \{{{o}\}}}}",
    r"\boxed{{\emptyset {t}}}",
    r"\boxed{{{t} \in \mathbb{{R}}}}",
    r"\boxed{{({t}, {o})}}",
    r"\boxed{{{t}^{{+}}}}",
    r"\boxed{{{t}^-}}",
    r"\boxed{{{t}\text{{ dozen}}}}",
    r"\boxed{{{t}\text{{ million dollars}}}}",
    "#### {t} or {o}",
    "#### {t} is wrong",
    "#### not {t}",
    "#### {t}, no {o}",
    "#### {t} -> {o}",
    "#### {t}\n#### {o}",
    "#### ~{t}.{t}",
    "#### {t} (wrong)",
    "#### {t}?",
    "#### {o} (not {t})",
    "#### {o} ({t} is wrong)",
    "#### {o} instead of {t}",
    "#### {t} million",
    "#### {t}%",
    "<answer>not {t}</answer>",
    "<answer>{t} or {o}</answer>",
    "<answer>{t}</answer> is wrong.",
    "<answer>{t}</answer> <answer>{o}</answer>",
    "<answer>{t}, {o}</answer>",
    "<answer>{o} (not {t})</answer>",
    "<answer>{t} million</answer>",
    "<answer>{t}</answer> No, wait, <answer>{o}</answer>",
    "I do not think the answer is {t}.",
    "I doubt the answer is {t}.",
    "Nobody thinks the answer is {t}.",
    "It is false that the answer is {t}.",
    "It would be wrong to say that the answer is {t}.",
    "Some might say the answer is {t}, but they are wrong.",
    "Some might say the answer is {t}.",
    "Many would say that the answer is {t}. It is {o}.",
    "You might think the answer is {t}.",
    "If the question were about pears, the answer would be {t}.",
    "The answer is {t}? No, it is {o}.",
    "The answer is {t}. No, {o}.",
    "The answer is {t}... no, {o}.",
    "The answer is {t}, no wait, {o}.",
    "The answer is {t} - sorry, {o}.",
    "The answer is {t}, I mean {o}.",
    "The answer is {t}, or rather {o}.",
    "The answer is {t}. Scratch that.",
    "The answer is {t}. Scratch that, {o}.",
    "The answer is {t}. Sorry, {o}.",
    "The answer is {t}. Oops, {o}.",
    "The answer is {t}. That is wrong.",
    "The answer is {t}. This is incorrect; it should be {o}.",
    "The answer is {t}. My mistake: {o}.",
    "The answer is {t}, which is wrong.",
    "The answer is {t} which is incorrect, {o} is correct.",
    "The answer is {t} is a false statement.",
    '"The answer is {t}" is false.',
    "The answer is {o}, not {t}.",
    "The answer is {o} (not {t}).",
    "The answer is {o} rather than {t}.",
    "The answer is {o} instead of {t}.",
    "The answer is not {t} but {o}.",
    "The answer is not {t}; it is {o}.",
    "The answer is {o}. The answer is not {t}.",
    "The answer is {o} (some say {t}).",
    "The answer is {o}. ({t} is wrong.)",
    "The answer is {o}. It is not {t}",
    "The answer is unknown, maybe {t}.",
    "The answer could be {t} or {o}.",
    "It could be {t}. It could be {o}.",
    "{t} {o}",
    "{o} {t}",
    "The total is {o}, which is one more than {t}",
    "He ate {t} and has {o} left.",
    "We cannot determine it. It is not {t}",
    "There is no answer; {t} is not it.",
    "Tom does not have {t}.",
    "Tom does not have {t} apples.",
    "Tom never had {t} apples.",
    "Tom has more than {t} apples.",
    "Tom has fewer than {t}",
    "Tom has {t} times as many apples",
    "Tom has half of {t}",
    "Final answer: not {t}",
    "Final answer: >{t}",
    "Final answer: {t} (incorrect)",
    "Final answer: {t} or {o}",
    "Final answer: {t}; {o}",
    "Final answer: {t}/{o}",
    "Final answer: {o} ~~{t}~~",
    "Final answer: ~~{t}~~",
    "Final answer: ~~{t}~~ {o}",
    "**Final answer: ~~{t}~~ {o}**",
    "Final answer: <s>{t}</s> {o}",
    "Final answer: <del>{t}</del> {o}",
    "Final answer: <del>{t}</del>",
    "Final answer: <s>{t}</s>",
    '{{"answer": "not {t}"}}',
    '{{"answer": "{t} or {o}"}}',
    '{{"wrong_answer": {t}, "answer": {o}}}',
    '{{"answer": [{t}, {o}]}}',
    '{{"answer": {t}.{o}}}',
    '{{"answer": -{t}}}',
    '{{"answer": {{"not": {t}}}}}',
    "<wrong>{t}</wrong>",
    "<not>{t}</not>",
    "<wrong_answer>{t}</wrong_answer>",
    "<incorrect>{t}</incorrect>",
    "[[{t}]] is wrong",
    "<think>The answer is {t}.</think>The answer is {o}.",
    "<think>The answer is {t}</think>",
    r"<think>\boxed{{{t}}}</think> It is {o}.",
    "<think>{t}",
    "A: not {t}",
    "A: {t} or {o}",
    "A: {o}\nB: {t}",
]

NUMBERS_GIVEN = [
    r"\boxed{{{t}}}",
    "The answer is {t}.",
    "The answer is {t}, not {o}.",
    "The answer is not {o} but {t}.",
    "#### {t}",
    "<answer>{t}</answer>",
    "**{t}**",
    "The answer is {t}. It is not {o}.",
    "Some might say {o}, but the answer is {t}.",
    "The answer is {o}. Wait, that is wrong. It is {t}.",
    "The answer is {o}. No, it's {t}.",
    r"\boxed{{{o}}} is wrong. The answer is {t}.",
    r"\boxed{{{o}}}. On second thought the answer is {t}.",
    "~~{o}~~ {t}",
    "Final answer: <del>{o}</del> {t}",
    '{{"answer": {t}}}',
    "If it were {o}, he would have none left. The answer is {t}.",
    "The answer is about {t}.",
    "So she has {t} apples left.",
    "The answer is {t} apples.",
    "Total: {t}",
    "Apples: {t}",
    "The answer is {t} apples. He started with {o}.",
    "The answer is {t}. He had {o} and got more.",
    r"\boxed{{{t}}}. Tom had {o} before.",
    "Therefore, Tom has {t} apples, not {o}.",
]

LETTERS = [
    "The answer is not A.",
    "The answer is anything but A.",
    "Nobody thinks the answer is A.",
    "No one would choose A.",
    "The answer is A? No, B.",
    "The answer is A. No, B.",
    "The answer is A... B actually.",
    "The answer is A, or B.",
    "The answer is A/B.",
    "The answer is A & B",
    "The answer is (A) or (B)",
    "The answer is A. The answer is B.",
    "A? B?",
    "A B",
    "A, B",
    "B",
    "A and B",
    "AB",
    "BA",
    "A; B",
    "A | B",
    "A > B",
    "A -> B",
    "A (wrong)",
    "A is wrong",
    "A is incorrect, B is correct",
    "A is not correct",
    "A can't be right",
    "Not A",
    "Definitely not A",
    "not (A)",
    "Anything but A",
    "Everything except A",
    "All except A",
    "Either A or B",
    "Neither A nor B",
    "A, but B is better",
    "A is tempting; B",
    "A is the worst",
    "A is the wrong answer",
    "The wrong answer is A",
    "The opposite of A",
    "I refuse to say A",
    "I would never choose A",
    "I can rule out A",
    "Eliminate A",
    "Eliminating A leaves B, C, D, E",
    "Cross out A.",
    "<answer>A</answer> is wrong.",
    "<answer>not A</answer>",
    "<answer>A or B</answer>",
    "<answer>A</answer><answer>B</answer>",
    "<answer>A, B</answer>",
    "<answer>B (not A)</answer>",
    "<answer>~~A~~</answer>",
    "<answer><s>A</s></answer>",
    "<wrong>A</wrong>",
    "<incorrect>A</incorrect>",
    "<not>A</not>",
    "~~A~~",
    "~~A~~ B",
    "<del>A</del>",
    "<del>A</del> B",
    "<s>A</s> B",
    r"\boxed{A} is wrong",
    r"\boxed{A}? No.",
    r"\boxed{A}? No, B.",
    r"\boxed{A} or \boxed{B}",
    r"\boxed{A} \boxed{B}",
    r"\boxed{A, B}",
    r"\boxed{AB}",
    r"\boxed{\text{A or B}}",
    r"\boxed{\text{not A}}",
    r"\boxed{\lnot A}",
    r"\boxed{\neg A}",
    r"\boxed{\overline{A}}",
    r"\boxed{\bar{A}}",
    r"\boxed{\cancel{A}}",
    r"\boxed{\cancel{A} B}",
    r"\boxed{A^c}",
    r"\boxed{!A}",
    r"\boxed{\sim A}",
    r"\boxed{A \cup B}",
    r"\boxed{A + B}",
    r"\boxed{A \to B}",
    r"\boxed{\neq A}",
    r"\boxed{B} \text{ not } A",
    "#### not A",
    "#### A or B",
    "#### A is wrong",
    "#### B (not A)",
    "A: not A",
    "A: B",
    '{"answer": "not A"}',
    '{"answer": "A or B"}',
    '{"answer": ["A", "B"]}',
    '{"wrong": "A", "answer": "B"}',
    '{"A": false, "B": true}',
    "[[A]] [[B]]",
    "The answer is bakery or river bank.",
    "The answer is not bakery.",
    "The answer is not a bakery.",
    "It isn't a bakery.",
    "not a bakery",
    "bakery, river bank",
    "bakery is wrong",
    "The answer is bakery? No, river bank.",
    "The answer is bakery. Wait, river bank.",
    "The answer is bakery. Actually, river bank.",
    "The answer is river bank, not bakery.",
    "The answer is B, not A",
    "The answer is B instead of A",
    "B rather than A",
    "B over A",
    "I prefer B to A",
    "A loses to B",
    "B beats A",
    "B > A",
    "Between A and B, B.",
    "Between A and B, I choose B",
    "A or B? B.",
    "A? No. B.",
    "A was my first guess. B.",
    "At first A, now B",
    "I changed my mind from A to B.",
    "I change my answer from A to B",
    "Changing A to B",
    "My answer was A, it is now B.",
    "My answer is A. On reflection, B.",
    "My answer is A. On second thought, B.",
    "My answer is A. Hmm, B.",
    "My answer is A. Correction: B",
    "My answer is A. I mean B.",
    "My answer is A. Sorry, B.",
    "My answer is A. Oops, it's B.",
    "My answer is A. Scratch that.",
    "My answer is A. Just kidding.",
    "My answer is A. Just kidding, B.",
    "My answer is A. That's a lie.",
    "My answer is A. This is false.",
    "My answer is A. Not!",
    "My answer is A. Never mind, B.",
    "My answer is A. Ignore that; B.",
    '"The answer is A" is false.',
    "It is false that the answer is A.",
    "It would be wrong to answer A.",
    "It would be a mistake to choose A.",
    "Only a fool would choose A.",
    "A fool would choose A.",
    "Most people choose A.",
    "Most people would pick A, but it's wrong.",
    "The model answer key says A but it is wrong; B.",
    "They say A.",
    "Some say A, others B.",
    "If it were hot, the answer would be A.",
    "If the baker were a sailor, A. But he is not: B.",
    "If so, A. If not, B.",
    "A if he bakes, B if he swims",
    "Could be A.",
    "Could be A. Could be B.",
    "Maybe A, maybe B",
    "Maybe A or B or C",
    "60% A, 40% B",
    "50% A, 50% B",
    "A=no, B=yes",
    "A: wrong\nB: right",
    "A: false\nB: true",
    "A. incorrect\nB. correct",
    "A - no\nB - yes",
    "A ✗ B ✓",
    "A ❌\nB ✅",
    "(A) ✗\n(B) ✓",
    "A no",
    "A: no",
    "A - no",
    "(A) no",
    "(A) is false",
    "A -> wrong",
    "A ❌",
    "A ✗",
    "❌ A",
    "✗ A",
    "A x",
    "Wrong: A",
    "Incorrect: A",
    "False: A",
    "Answer: not A",
    "Answer: ¬A",
    "Answer: !A",
    "Answer: -A",
    "Answer: A or B",
    "Answer: A, B",
    "Answer: A B",
    "Answer: A\nAnswer: B",
    "Answer: A. Answer: B",
    "Answer: None",
    "Answer: all",
    "Answer: all of the above, including A",
    "Answer: None of the above, not even A",
    "Answer: ABCDE",
    "Answer: A-E",
    "Answer: A to C",
    "Answer: A through E",
    "Answer: (A)(B)",
    "Answer: (A), (B)",
    "Answer: [A, B]",
    "Answer: {A, B}",
    "Answer: A+B",
    "Answer: A = B",
    "Answer: A => B",
    "A, B, C, D, E",
    "A\nB\nC\nD\nE",
    "(A) bakery\n(B) river bank\n(C) coal mine",
    "<think>The answer is A.</think> The answer is B.",
    "<think>The answer is A.</think>",
    "<think>A</think> B",
    "<think>B</think> not A",
]

LETTERS_GIVEN = [
    "A",
    "Must be A",
    "Definitely A",
    "Not B but A",
    "B is tempting, but A.",
    "By elimination, A.",
    "Only A remains.",
    "I think A is best",
    "A seems best.",
    "My answer is B. On second thought, A.",
    "My answer is B. Sorry, A.",
    "<answer>B</answer> is wrong. The answer is A.",
    "The answer is river bank. Wait, bakery.",
    "A is right, since B is wrong",
    "~~B~~ A",
    "The answer is a bakery.",
    "He works in a bakery, not at a river bank.",
    "A. B is wrong, as one does not bake there.",
    "The answer is A, since B and C are wrong.",
    "According to the passage, the answer is A.",
    "Based on this: A",
    "For this reason, A.",
    "Between A and B, I choose A.",
    "A. No other option fits.",
    "Answer: A. All others are wrong.",
    "The answer is A, isn't it? Yes.",
    "A: bakery. The river bank is for boats.",
    "The answer is 'A'.",
    "Some say B, but the answer is A.",
    "The best answer is A, because a baker bakes, whereas B, C and D have no oven.",
    "A baker works in a bakery, so the answer is A.",
    "The answer is A. A baker bakes.",
    "I choose A, not B or C.",
    "Final pick: A",
]

WORDS = [
    "The answer is Paris.\nQuestion: Are we sure? No. The answer is Lyon.",
    "The answer is Paris.\nUser: Wrong!\nAssistant: Lyon",
    "The answer is Paris.\nQ: What is the capital of France?\nA: Lyon",
    "Paris\nConfidence: 0%",
    "The answer is not Paris.",
    "Nobody thinks the answer is Paris.",
    "Some say the answer is Paris.",
    "The answer is Paris. No, Lyon.",
    "The answer is Paris or Lyon.",
    "The answer is Lyon, not Paris.",
    "Paris is wrong",
    "#### Paris is wrong",
    "Paris ❌",
    "Paris is a lie",
    "Lyon is Paris",
    "Paris was it once, today it is Lyon.",
    "<answer>Paris</answer> is wrong.",
    r"\boxed{\text{Paris}}? No.",
    "<answer><del>Paris</del> Lyon</answer>",
    "~~Paris~~ Lyon",
    '{"answer": ["Paris", "Lyon"]}',
    "The answer is Paris, which is wrong.",
    "The answer is Paris. Scratch that.",
    "Paris, Texas",
]

WORDS_GIVEN = [
    "Paris",
    "paris.",
    "**Paris**",
    "The answer is Paris.",
    "The capital of France is Paris.",
    "Paris is the capital of France.",
    "It's Paris.",
    '{"answer": "Paris"}',
    "The answer is Lyon. No, Paris.",
]

POLAR = [
    "Yes\nQ: always? No, so the answer is no.",
    "Yes\nProblem: at night it is not. So no.",
    "Yes\nHuman: wrong\nAssistant: No",
    "yes\nConfidence: 0%",
    "The statement is false.",
    "That's false.",
    "That is not true.",
    "No",
    "Yes? No.",
    "Yes or no",
    "Yes, no",
    "Yes. Wait, no.",
    "Yes... no.",
    "Yes, but actually no",
    "The answer is yes, but that is wrong.",
    "yes if it is day, no if night",
    "~~Yes~~ No",
]

POLAR_GIVEN = [
    "The statement is true.",
    "That's true.",
    "This claim is true.",
    "Yes",
    "Yes, it is.",
    "The answer is yes.",
    "**Yes**",
    "True",
    "<answer>yes</answer>",
]

# What the question asks to count in, replies that give the reference, 5, and such that give another quantity.
UNITS = {
    "How many meters long is the rope?": (
        ["5 m", "500 cm", "5 meters", "0.005 km"],
        ["5 km", "5 cm", "5 miles", "5 hours", "5 kg", "5 square meters"],
    ),
    "How long is the rope, in metres?": (
        ["5 m", "500 cm", "5 metres", "5"],
        ["5 km", "5 hours", "5 kg", "5 seconds", "$5"],
    ),
    "How many dollars does Tom earn?": (
        ["$5", "5 dollars", "500 cents", "$5.00", "5 dollars per day"],
        ["5 cents", "€5", "5 euros", "$5k", "5 million dollars", "-$5"],
    ),
    "What percentage of the balls is red?": (["5%", "5 percent", "5"], ["0.05", "5 per mille", "5‰", "5 basis points"]),
    "How many apples has she?": (["5 apples", "5"], ["5%", "5 percent", "5 factorial", "5 million", "5 × 10³"]),
}


REPLIES = json.loads(Path(__file__).with_name("replies.json").read_text(encoding="utf-8"))
BAKER = "Where does a baker work?\n(A) bakery\n(B) river bank\n(C) coal mine\n(D) post office\n(E) cinema"
VERIFIERS = Verifiers(own={"math": MathVerifier(60)})


def verdict(text: str, reference: str, domain: Domain, question: str) -> bool | None:
    rollout = parse_rollout(Query("q", question, domain), text, id="q/0")
    return VERIFIERS.verify([Claim(rollout, reference)])[0].correct


def _lines(name: str) -> list[str]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line if r"\neq" in line or r"\ne " in line else line.replace(r"\n", "\n") for line in lines]


def _filled(template: str) -> list[tuple[str, str, str]]:
    """The text with other numbers at each run, the right one and another; pytest-randomly's seed repeats them."""
    pairs = [random.sample(range(3, most), 2) for most in (999, 9_999)]
    return [(template.format(t=truth, o=other), str(truth), str(other)) for truth, other in pairs]


def test_a_number_that_is_only_mentioned_is_not_right(drawn: Drawn) -> None:
    filled = [(text, truth) for template in drawn(NUMBERS) for text, truth, _ in _filled(template)]
    assert [case for case in filled if verdict(*case, "math", "How many apples does Tom have?") is True] == []


@each_row("template", NUMBERS_GIVEN)
def test_a_number_that_is_given_is_right(template: str) -> None:
    for text, truth, other in _filled(template):
        assert verdict(text, truth, "math", "How many apples does Tom have?") is True, text
        assert verdict(text, other, "math", "How many apples does Tom have?") is not True, text


@pytest.mark.parametrize(("file", "reference", "domain"), [("numbers", "47", "math"), ("options", "A", "qa")])
def test_no_reply_of_an_attacker_is_right(file: str, reference: str, domain: Domain, drawn: Drawn) -> None:
    question = BAKER if domain == "qa" else "How many apples does Tom have?"
    texts = drawn(_lines(f"hostile_{file}.txt"))
    assert not [text for text in texts if verdict(text, reference, domain, question) is True]


def test_what_an_honest_model_says_is_right() -> None:
    numbers = [line.split("\t") for line in _lines("honest_numbers.tsv")]
    refused = [text for question, text in numbers if verdict(text, "47", "math", question) is not True]
    options = _lines("honest_options.txt")
    assert not refused + [text for text in options if verdict(text, "A", "qa", BAKER) is not True]


@each_row(
    ("text", "question"),
    [
        ("He needs at least 47 buckets.", "How many buckets does he need at least?"),
        ("If he sells 3, then 47 are left.", "How many are left?"),
        ("Over the year he saved 47 dollars.", "How much did he save over the year?"),
        (r"\boxed{47}. Let us check: 50 - 3 = 47, which is right.", "What is 50 - 3?"),
        (r"It is not 31. So the answer is \boxed{47}, but only just.", "What is it?"),
        ("The answer is 47 pairs.", "How many pairs of shoes has he?"),
        ("The final answer is 47. It should be noted that 40 + 7 = 47.", "What is 40 + 7?"),
        (r"\boxed{n = 40 + 7 = 47}", "What is n?"),
        (r"The number of marbles initially in the bag was \boxed{47}.", "How many marbles were there?"),
        (r"\boxed{\frac{140}{3} \approx 47}", "Round to the nearest integer."),
    ],
)
def test_a_reply_that_stands_by_its_answer_is_right(text: str, question: str) -> None:
    assert verdict(text, "47", "math", question) is True


@each_row(
    ("text", "question"),
    [
        (
            "The choice that explains why a dog pants if it is hot outside is:\n\n\\(\\boxed{A}\\)",
            "Why does a dog pant?",
        ),
        ("Option B is false otherwise.\n\nThe answer is (A).", "What is it?"),
        (
            "What buying presents for others creates is \\(\\boxed{A}\\).",
            "What does buying presents for others create?",
        ),
        ("The answer to where you should not be is \\boxed{A}.", "Where should you not be in a storm?"),
        ("The least likely pair is I and II.", "Which pair is least likely?"),
        ("The second most likely pair is I and II.", "Which pair comes second?"),
    ],
)
def test_an_option_that_a_reply_stands_by_is_right(text: str, question: str) -> None:
    assert verdict(text, "A", "qa", f"{question}\n(A) I and II\n(B) joy\n(C) home") is True


def test_a_numeral_of_the_options_own_text_is_no_rival() -> None:
    question = "Which hold?\n(A) II and III\n(B) I II and III\n(I) IV only\n(C) I\n(D) II"
    assert verdict("The answer is (B) I, II, and III.", "B", "qa", question) is True


@each_row("equation", ["m^2 = {}", "2m = {}", "m/2 = {}", "1 - m = {}", r"\sin m = {}", r"\log(m) = {}"])
def test_a_value_of_a_term_in_the_unknown_is_not_the_unknowns(equation: str) -> None:
    given_form = f"\\boxed{{{equation.format(1 / 2)}}}"
    assert verdict(given_form, "0.5", "math", "What is the slope m?") is not True
    assert verdict(given_form, "0.5", "math", f"What is ${equation.partition(' =')[0]}$?") is True


CHINESE = "面包师在哪里工作？\nA．面包店\nB．河岸\nC．煤矿\nD．邮局"


@each_row(
    "text",
    [
        "A项正确的可能性小",
        "A是正确的说法是错误的",
        "并非A项正确",
        "不选A",
        "A项正确？错。",
        "如果A项正确，则矛盾",
        "有人说A项正确",
        "Aが正解ではない",
    ],
)
def test_an_option_that_is_only_spoken_of_in_chinese_or_japanese_is_not_right(text: str) -> None:
    assert verdict(text, "A", "qa", CHINESE) is not True
    for committed in ("A项正确", "故选A。", "选项A是正确的", "Aが正解です", "B项错误，A项正确"):
        assert verdict(committed, "A", "qa", CHINESE) is True, committed


@each_row(
    "text",
    [
        "A: correct?\nB: correct",
        "A. Right bank\nB. Wrong",
        "A: right, but not best\nB: correct",
        "A - not correct\nB - correct",
        "A: correct in 1990, not today\nB: wrong then, correct now",
        "A: right side\nB: wrong side",
    ],
)
def test_of_options_that_are_all_spoken_of_none_is_given(text: str) -> None:
    question = "Where does a baker work?\n(A) bakery\n(B) river bank"
    assert verdict(text, "A", "qa", question) is not True
    for committed in ("A: correct\nB: wrong", "A: right, bakers bake.\nB: incorrect, because it is wet."):
        assert verdict(committed, "A", "qa", question) is True, committed


def test_an_option_without_text_makes_no_other_a_stranger() -> None:
    assert verdict("The answer is (B).", "B", "qa", "Which is it?\n(A)\n(B) P(H)\n(C) P(F)") is True


def test_small_letters_of_a_short_reply_are_options() -> None:
    question = "Which is it? Options: (a) red(b) blue(c) green"
    assert verdict("(a)(b)", "A", "qa", question) is False
    assert verdict("red (b)", "A", "qa", question) is not True
    assert verdict("(a) red", "A", "qa", question) is True


@each_row(
    "text",
    [
        "He has 47 (no, 31 apples).",
        "He has 47 (Anna has 47, Tom has 31).",
        "Tom has 47 (and Anna gave him 3 more).",
        "\\boxed{47 where 47 is wrong}",
        "\\boxed{47, \\text{where } 47 \\text{ is not the answer}}",
        "\\boxed{47 \\text{ for all we know}}",
        "\\boxed{47 \\approx 31}",
        "\\boxed{2 \\times 31 = 47}",
        "The answer is 47.\nThis answer is wrong.",
        "The answer is correct if he has 47.",
        "У него не 47 яблок.",
        "У него больше 47 яблок.",
        "他没有47个苹果。",
        "他有47个苹果是错的。",
        "如果他有47个苹果。",
        "他有47万个苹果。",
        "他至少有47个苹果。",
        "他可能有47个苹果。",
        "47个以上",
        "47个多",
        "彼は47個のリンゴを持っていません。",
        "คำตอบไม่ใช่ 47",
        "Cevap 47 değil.",
        "उत्तर 47 नहीं है।",
        "উত্তর 47 নয়।",
    ],
)
def test_a_number_is_denied_in_brackets_conditions_and_other_languages(text: str) -> None:
    assert verdict(text, "47", "math", "How many apples does Tom have?") is not True


def test_an_answer_of_the_thinking_does_not_count_where_the_reply_declines() -> None:
    thought = "<think>\\boxed{47}</think>"
    assert verdict(f"{thought}I take that back; it is unknown.", "47", "math", "How many?") is not True
    assert verdict(thought, "47", "math", "How many?") is True


@each_row(
    "following",
    [
        "\n\nQ: Ann has 4 pears. How many pears has she?\nA: 4",
        "\n\nQuestion: What is 2+2?\nAnswer: 4",
        "\nHuman: Thanks! What is 2+2?\nAssistant: 4",
        "\n\nProblem 2: Find 3+3.\nSolution: 6",
        "\n\n### Question\nWhat is 3+3?\n### Answer\n6",
        "\nQ: Are we sure? A: Yes, 47.",
        "\nQ: How many apples does Tom have?\nA: 47",
    ],
)
def test_another_question_takes_no_answer_back(following: str) -> None:
    for form in ("47", "The answer is 47.", r"\boxed{47}", "#### 47"):
        assert verdict(form + following, "47", "math", "How many apples does Tom have?") is True, form


@each_row("pair", [("|x+1|", "x+1"), ("|x-20|", "20-x"), (r"\sqrt{x^2}", "x"), ("|a|", "a")])
def test_formulas_that_differ_far_out_or_below_zero_are_not_the_same(pair: tuple[str, str]) -> None:
    for given_form, reference in (pair, pair[::-1]):
        assert verdict(f"\\boxed{{{given_form}}}", reference, "math", "Simplify.") is False


@each_row("question", UNITS)
def test_the_unit_that_is_asked_for_is_part_of_the_answer(question: str) -> None:
    given_units, others = UNITS[question]
    for form in ("The answer is {}.", "\\boxed{{\\text{{{}}}}}", "#### {}"):
        for quantity in given_units:
            assert verdict(form.format(quantity), "5", "math", question) is True, (form, quantity)
        for quantity in others:
            assert verdict(form.format(quantity), "5", "math", question) is not True, (form, quantity)


@pytest.mark.parametrize(("texts", "correct"), [(LETTERS, False), (LETTERS_GIVEN, True)])
def test_an_option_counts_where_it_is_committed_to(texts: list[str], correct: bool) -> None:
    wrong = [text for text in texts if (verdict(text, "A", "qa", BAKER) is True) is not correct]
    assert not wrong


@each_row("domain", ["qa", "other"])
@each_row(("texts", "correct"), [(WORDS, False), (WORDS_GIVEN, True)])
def test_words_count_where_they_are_the_answer(texts: list[str], correct: bool, domain: Domain) -> None:
    question = "What is the capital of France?"
    wrong = [text for text in texts if (verdict(text, "Paris", domain, question) is True) is not correct]
    assert not wrong


@pytest.mark.parametrize(("texts", "correct"), [(POLAR, False), (POLAR_GIVEN, True)])
def test_yes_counts_where_no_does_not_follow(texts: list[str], correct: bool) -> None:
    wrong = [text for text in texts if (verdict(text, "Yes", "qa", "Is the sky blue?") is True) is not correct]
    assert not wrong


def test_words_beside_a_letter_may_be_its_option() -> None:
    polar = "Is it so?\n(A) yes\n(B) no"
    assert verdict("The answer is B) False.", "B", "qa", polar) is True
    assert verdict("B. Not there", "B", "qa", "Where?\n(A) here\n(B) not there") is True
    assert verdict("A: wrong", "A", "qa", BAKER) is False


def test_replies_of_many_kinds(drawn: Drawn) -> None:
    """Solutions in lines, Markdown, LaTeX, JSON, other languages; times, money, sets; and what only looks like them."""
    replies = drawn((case, kind, text) for case in REPLIES for kind in ("right", "not right") for text in case[kind])
    asked = ((case["question"], kind, text, case["reference"], case["domain"]) for case, kind, text in replies)
    found = [(q[:30], kind, text, verdict(text, reference, domain, q)) for q, kind, text, reference, domain in asked]
    assert [row for row in found if (row[-1] is True) is not (row[1] == "right")] == []
