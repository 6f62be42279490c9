r"""Whether a mathematical answer is the reference, as the data sets write references and models write answers.

Runs inside of `worker`. The reference is read out of what its data set writes (`#### 42`, `\boxed{...}`, `(C) 145`); an
option letter stands for its value where the options are known; then units, then `forms.same_form`.
"""

import re
from collections.abc import Mapping
from fractions import Fraction

from memreward.domains.choice.parse import options
from memreward.domains.math.form import ABOUT, APPROXIMATED, math_key, measure, normal_form, round_alike, value_key
from memreward.domains.math.forms import same_form
from memreward.domains.math.quantity import TEXT_COMMAND, Quantity, factors, quantity
from memreward.domains.math.wanted import Wanted, wanted
from memreward.domains.shared.markers import boxed, without_calculator
from memreward.types import Verdict

_LETTER = re.compile(r"\(?([A-J])[).:]*")
_LETTER_KEY = re.compile(r"text ([A-J])")
_LETTER_AND_VALUE = re.compile(r"(?:\(([A-J])\)|([A-J])[).:])[\s$\\]*(?=\S)(?![+*/^=,]|-\s)(.*)", re.DOTALL)
_EQUATED = re.compile(r",?\s(?:or|i\.e\.,?|that is,?)\s|(?<=[a-z])\s=\s")
_TWO, _LONGEST = 2, 200
_HUNDREDTH = Fraction(1, 100)


def compare(answer: str, reference: str, query_text: str) -> Verdict:
    """Decide whether `answer`, as a rollout wrote it, is `reference`: an answer, or a solution that ends in one."""
    wanted = stated_reference(reference)
    if not wanted:
        return Verdict(None, "the reference is empty")
    if len(answer) <= _LONGEST and (found := _of_two_forms(answer, reference, query_text)):
        return found
    key = math_key(answer, query_text)
    if key.startswith("literal ") and key == math_key(wanted, query_text):
        return Verdict(True, "equal in value or form")
    given, right = _lettered(" ".join(answer.split())), _lettered(wanted)
    if given[0] is None and right[0] is None:
        return _same(answer, wanted, query_text)
    return _same_option(given, right, query_text)


def _of_two_forms(answer: str, reference: str, query_text: str) -> Verdict | None:
    r"""Of "3/8 or 37.5%" both are to be right, of "2\sqrt{3} \approx 3.46", which agree, one."""
    for pattern, enough in ((_EQUATED, all), (APPROXIMATED, any)):
        parts = [part.strip(" $") for part in pattern.split(answer)]
        alike = len(parts) == _TWO and (enough is all or round_alike(parts))
        if alike and enough(compare(part, reference, query_text).correct for part in parts):
            return Verdict(True, "the reference in two forms")
    return None


def stated_reference(reference: str) -> str:
    r"""Return the final answer in a reference: after the last `####`, in the last box, or all of it."""
    _, marker, final = reference.rpartition("####")
    if marker:
        return without_calculator(final).strip()
    box = boxed(reference)
    return box.content if box is not None else reference.strip()


def _lettered(text: str) -> tuple[str | None, str]:
    r"""Option letter and value: `\textbf{(C)}\ 145` is ("C", "145"), "C" is ("C", ""), "145" is (None, "145")."""
    text = text.replace("**", "")
    for _ in range(3):  # as in a key, which leaves "the answer is" and "about" out
        text = ABOUT.sub("", text)
    plain = TEXT_COMMAND.sub(r"\1", text).strip(" $.")
    alone = _LETTER.fullmatch(plain) or _LETTER_KEY.fullmatch(value_key(text, Wanted()))
    if alone is not None:
        return alone[1], ""
    both = _LETTER_AND_VALUE.fullmatch(plain)
    if both is None:
        return None, text
    return both[1] or both[2], both[3].removeprefix("(").removesuffix("\\)").strip(" $")


def by_value(answer: str, query_text: str) -> str:
    """Return the value of the option that an answer names by its letter, alone or beside the value; else the answer."""
    choices: Mapping[str, str] = options(query_text)
    letter, written = _lettered(" ".join(answer.split())) if choices and len(answer) <= _LONGEST else (None, "")
    value = choices.get(letter or "", "")
    same = not written or math_key(written, query_text) == math_key(value, query_text)
    return value if value and same else answer


def _same_option(given: tuple[str | None, str], wanted: tuple[str | None, str], query_text: str) -> Verdict:
    """Where a side names a letter: letters are compared, and values where one side has none."""
    choices: Mapping[str, str] = options(query_text)
    (letter, written), (right, stated) = given, wanted
    value = written or choices.get(letter or "", "")
    right_value = stated or choices.get(right or "", "")
    if letter is not None and right is not None:
        named = _same(written, right_value, query_text) if written and right_value else None
        if named is not None and named.correct is not (letter == right):
            return Verdict(None, f"option {letter} and the value beside it contradict each other")
        return Verdict(letter == right, "option letter")
    if value and right_value:
        return _same(value, right_value, query_text)
    if right is None:
        return _same(letter or "", right_value, query_text)
    return Verdict(None, "the reference is an option letter, and the question's options are not known")


def _same(answer: str, reference: str, query_text: str) -> Verdict:
    asked = wanted(query_text)
    given, right = measure(answer, asked), quantity(reference)
    if "percent" in (given.dimension, right.dimension) and {given.dimension, right.dimension} <= {"", "percent"}:
        return _same_percentage(given, right, asked)
    if bool(given.dimension) != bool(right.dimension):
        return _same_half_named(given, right, asked)
    if given.dimension != right.dimension:
        return Verdict(False, f"{given.dimension} is not {right.dimension}")
    if given.factor != right.factor:
        return same_form(_times(given.body, given.factor), _times(right.body, right.factor), asked)
    return same_form(given.body, right.body, asked)


def _times(body: str, factor: Fraction) -> str:
    """The value multiplied; of x = 5 that is 5."""
    return f"({normal_form(body)})*\\frac{{{factor.numerator}}}{{{factor.denominator}}}"


def _same_percentage(given: Quantity, right: Quantity, asked: Wanted) -> Verdict:
    r"""10\% is 10 where a percentage is asked for or stated, and 0.1 where none is asked for."""
    as_numbers = same_form(given.body, right.body, asked)
    if given.dimension == right.dimension or asked.percentage or (as_numbers.correct and right.dimension):
        return as_numbers
    bodies = [_times(side.body, _HUNDREDTH) if side.dimension == "percent" else side.body for side in (given, right)]
    return same_form(bodies[0], bodies[1], asked)


def _same_half_named(given: Quantity, right: Quantity, asked: Wanted) -> Verdict:
    """One side has a known unit, the other none: equal numbers are right, unless the question asks for another unit."""
    unit = asked.other_unit(given) if given.dimension else None
    if unit is not None:
        if not unit:
            return Verdict(False, f"{given.dimension} are not what is asked for")
        return same_form(_times(given.body, given.factor / unit), right.body, asked)
    bare = same_form(given.body, right.body, asked)
    if bare.correct is not False:
        return bare
    if "angle" in (given.dimension, right.dimension):
        degrees, other = (given, right) if given.dimension else (right, given)
        if re.search(r"\\pi(?![a-zA-Z])|π", other.body):
            return same_form(f"({degrees.body})*\\frac{{\\pi}}{{180}}", other.body, asked)
    in_other_units = [_times(given.body, given.factor / factor) for factor in factors(given.dimension)]
    if given.dimension and value_key(right.body, asked) in (value_key(body, asked) for body in in_other_units):
        return Verdict(None, "the answer has a unit and the reference none: in another unit they are equal")
    return bare
