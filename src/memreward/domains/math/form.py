r"""When two mathematical answers are the same: a key per answer, equal for equivalent answers.

A key makes equivalence transitive and costs one evaluation an answer. Plain numbers, text, lists, intervals and
matrices are keyed here; other expressions are parsed by math-verify (`process`) and keyed by their values: of a
constant to six decimals (six significant digits below 1), as math-verify compares; of a formula at fixed points.

What the question asks for is left out of an answer: a percent sign where it asks for a percentage, a unit where it
names no other of its kind, a base, a word of magnitude (`wanted`). Otherwise these are part of it: 10\% is 0.1 and not
10, $5 is not 5, 12_7 is not 12, 4 million is not 4; but an unknown unit is a word without meaning, as in 5 apples. The
name of a single value is dropped (x = 5 is 5), those of several are not. Lists without parentheses and sets have no
order, unless the question asks for a point. i is imaginary. What cannot be evaluated in time equals the same normal
form.
"""

import hashlib
import re
from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from unicodedata import normalize

from memreward.domains.math.algebra import POINTS, NoValueError, Values, algebra_values
from memreward.domains.math.magnitudes import is_magnitude, numeral
from memreward.domains.math.process import LateError, deadline, values_of
from memreward.domains.math.quantity import Quantity, is_unit, quantity
from memreward.domains.math.wanted import Wanted, number_of_base, wanted
from memreward.domains.shared.markers import without_calculator
from memreward.domains.text.key import written_date

_LONGEST_READ = 100_000
_LONGEST = 1000
_NOON, _TWO = 12, 2
_LONGEST_EVALUATED = 250
_LARGEST = 400
_NOISE = Decimal("1e-40")
_CONTEXT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)
_CHARACTERS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "/", "π": "\\pi ", "∞": "\\infty "}
    | {"≤": "\\le ", "≥": "\\ge ", "∪": "\\cup ", "±": "\\pm ", "≈": "\\approx ", "∈": "\\in ", "√": "\\sqrt "}
    | {"′": "'", "’": "'", "`": "", "\u2044": "/", "∶": ":"}
    | dict.fromkeys("\u00a0\u2009\u202f", "\\,")
    | dict.fromkeys("£€¥₹₩₽₺₫฿∴✓✔✅", "")
    | {sign: "\\frac{{{}}}{{{}}}".format(*normalize("NFKC", sign).split("\u2044")) for sign in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉", "0123456789-0123456789")
_SCRIPTS = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|[₀₁₂₃₄₅₆₇₈₉]+")
_DROPPED = re.compile(
    r"\\\\|\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|textstyle|quad|qquad|limits|nolimits)(?![a-zA-Z])"
    r"|\\(?:begin|end)\{(?:aligned|align|gathered|split|equation)\*?\}|&(?=\s?=)"
    r"|\\[,;:! ()\[\]]|~|\\?\$|\\?%|\^\s?\{?\s?\\circ\s?\}?|\\(?:degree|circ)(?![a-zA-Z])|°"
    r"|^\*\*|\*\*$|\{,\}(?=\d)"
)
_DIGITS_APART = re.compile(r"(?<=\d)(?:\\[,;: ]|~|\{,\}|\s*,\\!)\s*(?:(?=\d{3}(?!\d))|(?=(\d)))")
_PLAIN_SET = re.compile(r"\{(?!\d{1,3}(?:,\d{3})+\})[^{}=:|]*,[^{}=:|]*\}")
_FOR_ALL = re.compile(
    r",?\s*(?:\\q?quad\s*|\\[,;:]\s*)*(?:\\text\s?\{,?\s*)?(?:\bfor (?:all|any|every|each|some)\b|\bwhere\b|\\forall\b"
    r"|\bfor\s*\}?\s*[a-z]\s?\\in).*\Z",
    re.DOTALL,
)
_SYMBOL = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])")
APPROXIMATED = re.compile(
    r"\\approx(?![a-zA-Z])|≈|\\text\s?\{\s*or (?:approximately|about|approx\.?)\s*\}|\bor (?:approximately|about)\b"
)
_SET_OF = re.compile(
    r"\\?\{\s?([a-zA-Z])(?:\s?(?:\\in|∈)\s?(?:\\mathbb\s?\{?R\}?|R|ℝ))?\s?(?:[:|]|\\mid)\s?(?=[^|:]*\1)"
    r"((?:[^{}|:]|\{[^{}]*\})+?)\\?\}"
)
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s?(?:\^\s?\{?\s?\\circ\s?\}?|\\degree(?![a-zA-Z])|°)")
_OF_ANGLES = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
ABOUT = re.compile(
    r"^(?:(?:approximately|about|around|roughly|approx\.?|circa|exactly|precisely|simply|just|only|probably|likely|"
    r"equals?(?:\sto)?|is)\s|(?:the\s)?(?:final\s)?answer\s?(?::|is\s|[—–-]\s)|\\(?:approx|sim|simeq|cong)(?![a-zA-Z])|[≈~=])\s*",
    re.IGNORECASE,
)
_KEPT = {"~": " ", "\\ ": " ", "\\quad": " ", "\\qquad": " ", "\\\\": "\\\\"}
_SYNONYMS = (
    (re.compile(r"^(?:negative|minus)\s(?=[\d\\.])"), "-"),
    (re.compile(r"(?<=\d)\s?[xX]\s?(?=10\s?\^)"), r"\\times "),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\frac\s*\{([^{}]{1,60})\}\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\\pi)\s*(\d)(?!\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\sqrt\s*(\d+|[a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![a-zA-Z\\])sqrt\s*\(([^()]{1,60})\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![a-zA-Z\\])(pi|sqrt|infty|theta|alpha|beta)(?![a-zA-Z])"), r"\\\1"),
    (
        re.compile(
            r"(?<![a-zA-Z\\])(sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp)"
            r"(?=\s?[\\\d(^{]|\s?[a-zA-Z](?![a-zA-Z]))"
        ),
        r"\\\1 ",
    ),
    (re.compile(r"\^\s?(?:\{\s?\\prime\s?\}|\\prime(?![a-zA-Z]))"), "'"),
    (re.compile(r"\{:\}"), ":"),
    (re.compile(r"\\not\s?="), r"\\ne "),
    (re.compile(r"\\(?:mathbf|boldsymbol|bm|mathrm)\s?\{(?=[^{}]{0,60}\{)"), "{"),
    (re.compile(r"(?<=\S)\s?\*\*\s?(?=\S)"), "^"),
    (re.compile(r"(?<![a-zA-Z\\])infinity(?![a-zA-Z])"), r"\\infty"),
)
_COMMAND_AS = {"langle": "(", "rangle": ")", "lor": " or ", "vee": " or ", "land": " and ", "wedge": " and "}
_COMMAND_AS |= {"leq": "\\le ", "leqslant": "\\le ", "geq": "\\ge ", "geqslant": "\\ge ", "lt": "<", "gt": ">"}
_COMMAND_AS |= {"neq": "\\ne ", "varnothing": "\\emptyset", "colon": ":", "approx": "=", "equiv": "="}
_COMMAND_AS |= dict.fromkeys(("vert", "Vert", "mid"), "|")
_COMMAND = re.compile(rf"\\({'|'.join(_COMMAND_AS)})(?![a-zA-Z])")
_TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname|mathcal|mathbb|bf|rm)\s{0,4}\{([^{}]*)\}(?:\s?\^\s?\{?[23]\}?)?"
)
_MARKED = re.compile(r"(?:\d\"|(?<![a-zA-Z])[a-zA-Z]\*)\Z")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,(?:\s(?=0))?\d{3})+(?![\d])")
ASSIGNMENT = re.compile(
    r"^(?:(?:\\Delta\s?)?[a-zA-Z]|\\[a-zA-Z]{2,10}(?:\s?\([a-z, ]{1,9}\))?"
    r"|\\(?:vec|overrightarrow|overline|bar|hat)\s?\{\s?\w{1,3}\s?\}|m?\s?\\angle\s?\w{1,3}"
    r"|\(\s?[a-z](?:\s?,\s?[a-z]){1,3}\s?\)"
    r"|[a-zA-Z]_\{?\s?\\?\w{1,4}\s?\}?|[a-zA-Z]{1,3}'{0,2}(?:\^(?:\{-1\}|\(-1\)))?\([-\w, ./]{1,12}\)"
    r"|[a-zA-Z][a-zA-Z ]{1,30})\s?(?:=|\\in(?![a-z]))\s?(?=\S)"
)
_INTEGER_OR_DECIMAL = re.compile(r"[-+]?\s?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_RATIO = re.compile(
    r"([-+]?)\s?(?:(\d+)\s?)?(?:\\frac\s?\{\s?([-+]?\d+)\s?\}\s?\{\s?(\d+)\s?\}|(?<![.\d])(\d+)\s?/\s?(\d+))"
)
_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\overline\s?\{(\d+)\}")
_NUMBER_THEN_UNIT = re.compile(
    r"([-+]?\s?(?:\d+(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+|\s\d+/\d+)?|[-+]?\s?\d*\s?\\frac\{[-\d]+\}\{\d+\}|[^\\]{0,60}\})"
    r"(\s?)([a-zA-Z]{2,}[a-zA-Z .'/]*(?:\^\{?[23]\}?)?)"
)
_UNIT_LETTERS, _ENDS_NUMBER = frozenset("JNWVKTCFHAΩ"), frozenset("0123456789}")
_NO_UNITS = re.compile(
    r"\b(?:and|or|to|pi|sqrt|sin|cos|tan|log|ln|mod|modulo|times|if|for|frac|th|st|nd|rd|not|no|at|most|least|more|less"
    r"|fewer|than|plus|minus|over|under|remainder|base|by|but|wrong|incorrect|false|is|was|percent|doubled?|tripled?|halved"
    r"|below|above|short|negative|nor|except|between|from|until|too|never|almost|nearly|factorial|off|mil|mille|permille|twice|bps?|basis|ppm|ppb)\b",
    re.IGNORECASE,
)
_PRODUCT = re.compile(r"[a-z]{2}|[abcd]{3}|(?=[a-z]*[xz])[b-df-hj-np-tv-z]{3}|[bcdfghjklmnpqrstvwxz]{3}")
_SHORT_WORDS = frozenset(
    "ad ah ai am an as at be by do ed eh ex go ha he hi if in is it kg km me mm mi my no of oh ok on or ox pm so to uh "  # noqa: SIM905
    "up us we cm ft lb oz dm ml nd rd st th hrs yrs mph kph lbs".split()
)
_LETTERS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z' .\-]*[a-zA-Z'.]|\(?[a-zA-Z]\)?")
_TRUTHS = {"yes": "true", "no": "false"}
_ARTICLE = re.compile(r"^(?:an?|the) (?=[a-zA-Z]{3})", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"[aApP]\.?\s?[mM]\.?")
_DATE = re.compile(r"(\d{1,4})\s?/\s?(\d{1,2})\s?/\s?(\d{1,4})")
_CLOCK_OR_RATIO = re.compile(r"\d+(?:\s?:\s?\d+)+(?!\d).*")
_A_TO_B = re.compile(r"(\d+)\s?(?::|\bto\b)\s?(\d+)")
_CLOCK = re.compile(r"(\d{1,2})(:\d\d(?::\d\d)?)\s?(?:([ap])\.?m\.?)?", re.IGNORECASE)
_BASE_INDEX = re.compile(r"\(?([\dA-F]+)\)?\s?(?:_\s?\{?\s?(?:base\s?)?(\w+)\s?\}?|\(?\s?(?:in\s)?base[ -]?(\w+)\)?)")
_NO_MATHEMATICS = re.compile(r"[^ -~]|(?<=[\w}])'|[?@#&;\"`]|\\\\|^[^0-9a-zA-Z]*$")
_BLANK = re.compile(r"(?<![a-zA-Z0-9]) | (?![a-zA-Z0-9])")
_COMMANDS = re.compile(r"\\[a-zA-Z]+|\\(?:begin|end|operatorname)\{[a-zA-Z]*\}")
_DIGITS_SIDE_BY_SIDE = re.compile(r"(?<![_\d])\d+\s+\.?\d")
_LEAVES = {"\\infty": "infinite +", "+\\infty": "infinite +", "-\\infty": "infinite -", "\\emptyset": "empty"}
_NO_SOLUTION = "no solution|no solutions|there is no solution|there are no solutions|none|empty set|the empty set"
_ALL_REALS = ("all real numbers", "all reals", "\\mathbb{r}", "x \\in \\mathbb{r}", "x \\in r", "all real")
_WORDS_OF_MATHEMATICS = {
    **dict.fromkeys(_NO_SOLUTION.split("|"), "\\emptyset"),
    **dict.fromkeys(_ALL_REALS, "(-\\infty, \\infty)"),
    **dict.fromkeys(("infinity", "infinitely many", "+\\infty"), "\\infty"),
}
_LONG_NUMERAL = re.compile(r"[-+]?\d[\d,]*(?:\.\d*)?")
_NAME = r"(?:[a-zA-Z]|\\[a-z]{2,7})(?:_\{?\w{1,3}\}?)?"
_NAMED = re.compile(rf"\s*({_NAME})\s*=(?!=)\s*([^=<>]+?)\s*", re.DOTALL)
_BETWEEN_NAMED = re.compile(
    rf"\s*(?:[,;]|\\text\s*\{{\s*(?:and|or|,)\s*\}}|\band\b|\\\\|\\quad)+\s*(?=(?:\\quad\s*)?{_NAME}\s*=)"
)
_POINT = re.compile(r"^[A-Z]\s?(?=\([^()]*,[^()]*\)$)")
_NAMES_OF_TUPLE = re.compile(r"\(\s*([a-zA-Z](?:\s*,\s*[a-zA-Z]){1,5})\s*\)\s*=\s*(?=\()")
_MATRIX = re.compile(
    r"(?P<open>[(\[])?\s?\\begin\{(?P<kind>(?:[pbB]|small)?matrix|(?(open)array|matrix))\}(?:\{[clr| ]+\})?"
    r"(?P<cells>.*)\\end\{(?P=kind)\}\s?(?(open)[)\]])",
    re.DOTALL,
)
_RELATION = re.compile(r"<=|>=|\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|\\ne(?![a-zA-Z])|[<>=]")
_ARITHMETIC = re.compile(r"[^a-zA-Z]*\d[^a-zA-Z]*")
_RELATION_NAMES = {"<=": "≤", "\\le": "≤", ">=": "≥", "\\ge": "≥", "\\ne": "≠"}
_MIRRORED = {">": "<", "≥": "≤"}
_RATIONAL_KEY = re.compile(r"number -?\d+(?:/\d+)?")
_NUMERAL = re.compile(r"-?\d{1,30}(?:,\d{3}){0,9}(?:\.(\d{1,30}))?")
_REAL_KEY = re.compile(r"number -?[\d.eE+-]{1,300}")
_ROUNDED = 0.02


def normal_form(answer: str) -> str:
    """Return the answer without decoration, in one spelling; equal forms are equivalent, others need `math_key`."""
    form = _one_spelling(answer)
    if len(form) > _LONGEST:
        return form
    for _ in range(2):
        form = ASSIGNMENT.sub("", form, count=1)
    return _without_unknown_unit(ABOUT.sub("", form)).strip()


def _one_spelling(answer: str, magnitudes: frozenset[str] = frozenset()) -> str:
    if len(answer) > _LONGEST_READ:
        return answer
    form = without_calculator(answer).strip()
    if len(form) > _LONGEST:
        return " ".join(form.split())
    form = ABOUT.sub("", form)
    said = _FOR_ALL.sub("", form)
    form = said if _SYMBOL.search(said) else form
    if _OF_ANGLES.search(form):
        form = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", form)
    form = _SCRIPTS.sub(_script, form) if not form.isascii() else form
    form = _DIGITS_APART.sub(lambda match: " " if match[1] else "", form.translate(_CHARACTERS))
    form = _DROPPED.sub(lambda match: _KEPT.get(match[0], ""), form)
    form = _COMMAND.sub(lambda command: _COMMAND_AS[command[1]], form)
    for pattern, replacement in _SYNONYMS:
        form = pattern.sub(replacement, form)
    form = _without_text_commands(_WORDS_OF_MATHEMATICS.get(form.strip().lower(), " ".join(form.split())))
    if _PLAIN_SET.fullmatch(form):
        form = f"\\{form[:-1]}\\}}"
    described = _SET_OF.fullmatch(form)
    form = described[2] if described is not None else form
    form = _unframed(form)
    form = _THOUSANDS.sub(_without_separators, form)
    form = form.replace(" ", "") if _GROUPED.fullmatch(form) else form
    for word in magnitudes:
        form = re.sub(rf"(?<=\d)\s{word}s?$", "", form)
    return numeral(form) or _WORDS_OF_MATHEMATICS.get(form.lower(), form)


def _unframed(form: str) -> str:
    """Without marks around it; a quote that closes none is a unit, 47", and such a star a part of a name, x*."""
    inner = form.rstrip(' .,;:*_"')
    mark, inner = form[len(inner) :][:1], inner.lstrip(' ,;:*_"')
    opened = mark in form[: form.find(inner)]
    return inner + mark if not opened and _MARKED.search(inner[-2:] + mark) else inner


def _script(match: re.Match[str]) -> str:
    """A superscript of Unicode as a power, a subscript as an index: ² as ^2, ¹⁰ as ^{10}."""
    plain = match[0].translate(_RAISED)
    sign = "_" if match[0][0] in "₀₁₂₃₄₅₆₇₈₉" else "^"
    return f"{sign}{plain}" if len(plain) == 1 else f"{sign}{{{plain}}}"


def _without_separators(match: re.Match[str]) -> str:
    """1,234 is a number, and (12,102) is a pair."""
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    return match[0] if before in {"(", "["} and after in {")", "]"} else re.sub(r",\s?", "", match[0])


def _without_unknown_unit(form: str) -> str:
    calculated, equals, result = (part.strip() for part in form.rpartition("="))
    unit = _NUMBER_THEN_UNIT.fullmatch(result)
    if equals and unit is not None:  # "31 apples + 16 apples = 47 apples"
        calculated = calculated.replace(unit[3], "")
        return f"{calculated} = {_without_unknown_unit(result)}" if _ARITHMETIC.fullmatch(calculated) else form
    if unit is None or (changes_value(unit[3]) and unit[3] != "times"):
        return form
    word = _LETTERS.match(unit[3])
    attached = word is not None and (_is_product(word[0]) or (not unit[2] and len(word[0]) < 4))
    return form if attached and word is not None and not is_unit(word[0]) else unit[1]


def changes_value(words: str) -> bool:
    """Whether words beside a number make it another one: "at least", "dozen", "over"."""
    return _NO_UNITS.search(words) is not None or is_magnitude(words)


def _is_product(word: str) -> bool:
    """Whether letters side by side are factors (xy, abc, pqr) and no word."""
    return _PRODUCT.fullmatch(word) is not None and word not in _SHORT_WORDS


def _without_text_commands(form: str) -> str:
    r"""`\text{...}` becomes its words where it is the answer, a comma where it joins, and goes where it is a unit."""
    whole = _TEXT_COMMAND.fullmatch(form)
    if whole is not None:
        return whole[1].strip()

    def shown(match: re.Match[str]) -> str:
        words = match[1].strip()
        if words.lower() in {"and", "or", ","}:
            return f" {words.lower()} "
        if _HALF_OF_DAY.fullmatch(words):
            return f" {words}"
        if is_magnitude(words) or (_NO_UNITS.search(words) and words != "times"):
            return f" {words} "
        if words in _UNIT_LETTERS and form[: match.start()].rstrip("\\,;~ ")[-1:] in _ENDS_NUMBER:
            return " "
        if len(words) == 1 or match.start() == 0 or form[: match.start()].rstrip()[-1:] in {",", "=", "(", "{", "&"}:
            return f" {words} "
        return " "

    return " ".join(_TEXT_COMMAND.sub(shown, form).split())


def math_key(answer: str, query_text: str = "") -> str:
    asked = wanted(query_text)
    measured = measure(answer, asked)
    key = value_key(measured.body, asked)
    if measured.dimension == "percent" and (number := as_fraction(normal_form(measured.body))) is not None:
        return "number " + _grid(number / 100)
    return f"{measured.dimension} {measured.factor} of {key}" if measured.dimension else key


def measure(answer: str, asked: Wanted) -> Quantity:
    """Cut the unit, percent sign or currency off an answer; one that the question asks for counts as none."""
    measured = quantity(answer) if len(answer) <= _LONGEST else Quantity(answer)
    return Quantity(measured.body) if asked.has(measured) else measured


def value_key(body: str, asked: Wanted) -> str:
    if len(body) > _LONGEST:
        number = _long_number(body)
        return number or "literal " + hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return _short_key(body, asked)


def _long_number(body: str) -> str | None:
    """The key of a numeral of more digits than anybody asks for, to a precision that still tells it apart."""
    if not _LONG_NUMERAL.fullmatch(body.strip()):
        return None
    value = _CONTEXT.create_decimal(body.strip().replace(",", ""))
    return "number " + _grid(Fraction(value)) if abs(value.adjusted()) < _LARGEST else f"number {value:e}"


def round_alike(parts: Sequence[str]) -> bool:
    """Whether one side of an approximation is a numeral that the other, a number too, rounds to."""
    keys = [value_key(part, Wanted()) for part in parts]
    places = [len(shown[1] or "") for part in parts if (shown := _NUMERAL.fullmatch(part.strip())) is not None]
    if not places or not all(map(_RATIONAL_KEY.fullmatch, keys)):
        return False
    one, other = (Fraction(key.removeprefix("number ")) for key in keys)
    return abs(one - other) <= Fraction(1, 2 * 10 ** min(places))


@lru_cache(maxsize=65_536)
def _short_key(body: str, asked: Wanted) -> str:
    if len(parts := APPROXIMATED.split(body)) == _TWO and round_alike(parts):
        return _short_key(parts[0], asked)
    form = _one_spelling(body, asked.magnitudes)
    try:
        with deadline():
            return _whole_key(form, asked)
    except LateError:
        return _literal(form)


def _whole_key(form: str, asked: Wanted) -> str:
    named = named_values(form)
    if named is not None and asked.point:
        return f"( {','.join(_key(named[name], 1) for name in sorted(named))} )"
    if named is not None:
        return "named " + ", ".join(f"{name}: {_key(named[name], 1)}" for name in sorted(named))
    form = normal_form(form)
    if asked.point:
        form = _POINT.sub("", form)
    if asked.point and not re.search(r"[()\[\]{<>]", form):
        items = [item for item in split(form, _COMMA) if item.strip()]
        if len(items) > 1:
            return "list " + ", ".join(_key(item, 1) for item in items)
    ratio = _A_TO_B.fullmatch(form) if asked.ratio else None
    if ratio is not None and int(ratio[2]):
        value = Fraction(int(ratio[1]), int(ratio[2]))
        return "number " + _grid(value) if value.denominator > 1 else f"text {value}:1"  # 4:2 is no number
    index = _BASE_INDEX.fullmatch(form)
    if index is not None:
        base = _base(index)
        digits = _key(index[1], 1) if index[1].isdigit() else "text " + index[1]
        return digits if base in (asked.bases or {"10"}) else f"base {base} {digits}"
    return _key(form, 0)


def base_of(answer: str) -> str:
    """The base that a numeral names, 41_6; "" where it names none."""
    index = _BASE_INDEX.fullmatch(normal_form(answer)) if len(answer) <= _LONGEST_EVALUATED else None
    return "" if index is None else _base(index)


def _base(index: re.Match[str]) -> str:
    return number_of_base(index[2] or index[3])


def named_values(form: str) -> dict[str, str] | None:
    """Values by name of "x = 1, y = 2" or "(x, y) = (1, 2)"; None where not every part has a name of its own."""
    plain = form.strip(" $.")
    if "=" not in plain or len(plain) > _LONGEST:
        return None
    tuple_names = _NAMES_OF_TUPLE.match(plain)
    if tuple_names is not None and plain.endswith(")"):
        values = plain[tuple_names.end() + 1 : -1].split(",")
        names = [name.strip() for name in tuple_names[1].split(",")]
        return dict(zip(names, values, strict=True)) if len(names) == len(values) == len(set(names)) else None
    parts = [_NAMED.fullmatch(part) for part in _BETWEEN_NAMED.split(plain)]
    found = {part[1]: part[2] for part in parts if part is not None}
    return found if len(found) == len(parts) > 1 else None


def _key(form: str, depth: int) -> str:
    form = form.strip()
    simple = _simple_key(form)
    if simple is not None:
        return simple
    if len(form) > _LONGEST_EVALUATED or depth > 4:
        return _literal(form)
    return _composite_key(form, depth) or _relation_key(form, depth) or _value_key(form)


def _simple_key(form: str) -> str | None:
    number = as_fraction(form)
    if number is not None:
        return "number " + _grid(number)
    if form in _LEAVES:
        return _LEAVES[form]
    if (written := written_date(form)) is not None:
        return "text " + written
    date = _DATE.fullmatch(form)
    if date is not None:
        return "text " + "/".join(str(int(part)) for part in date.groups())
    clock = _CLOCK.fullmatch(form)
    if clock is not None and (clock[3] or int(clock[1]) > _NOON) and int(clock[1]) <= 2 * _NOON:
        hour = int(clock[1]) % _NOON + _NOON * (clock[3].lower() == "p") if clock[3] else int(clock[1])
        return f"text clock {hour}{clock[2]}"
    if _CLOCK_OR_RATIO.fullmatch(form):
        return "text " + re.sub(r"[^a-z0-9:]+", "", form.lower().lstrip("0"))
    if not _WORDS.fullmatch(form) or (form.islower() and (len(form.strip("()")) == 1 or _is_product(form))):
        return None
    letters = re.sub(r"[^a-zA-Z]+", "", _ARTICLE.sub("", form))
    letters = _TRUTHS.get(letters.lower(), letters)
    primes = "'" * form.count("'")
    return "text " + (letters + primes if len(letters) == 1 else letters.lower() + primes * letters.isupper())


def as_fraction(form: str) -> Fraction | None:
    r"""The value of a literal: 12, -3.5, 1/2, \frac{1}{2}, mixed 3\frac{1}{2}, 0.\overline{3}; None for all else."""
    if len(form) > 400:
        return None
    compact = form.replace(" ", "")
    if _INTEGER_OR_DECIMAL.fullmatch(form):
        return Fraction(compact)
    ratio = _RATIO.fullmatch(form)
    if ratio is not None:
        whole, top, bottom = ratio[2], ratio[3] or ratio[5], int(ratio[4] or ratio[6])
        if bottom == 0:
            return None
        value = Fraction(int(top), bottom) + int(whole or 0)
        return -value if ratio[1] == "-" else value
    repeating = _REPEATING.fullmatch(compact)
    if repeating is not None:
        sign, whole, fixed, period = repeating.groups()
        tail = Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))
        value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed)) + tail
        return -value if sign else value
    return None


def _grid(value: Fraction) -> str:
    """Integers to 50 digits; others to six decimals, or six significant digits below 1/10."""
    if abs(value) < _NOISE:
        return "0"
    exponent = _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator)).adjusted()
    if value.denominator == 1:
        return str(value if exponent < 50 else round(value, 49 - exponent))
    return str(round(value, 6 if exponent >= -1 else 5 - exponent))


def split(form: str, separator: re.Pattern[str]) -> list[str]:
    if separator.search(form) is None:
        return [form]
    parts, depth, begin, position = [], 0, 0, 0
    while position < len(form):
        symbol = form[position]
        match = separator.match(form, position) if depth == 0 else None
        if match is not None:
            parts.append(form[begin:position])
            position = begin = match.end()
            continue
        depth += (symbol in "([{") - (symbol in ")]}" and depth > 0)
        position += 1
    parts.append(form[begin:])
    return parts


_COMMA = re.compile(r",|;|\s(?:and|or)\s")
_UNION = re.compile(r"\\cup(?![a-zA-Z])|(?<=[)\]])\s?U\s?(?=[(\[])")
_OR, _AND = re.compile(r"\sor\s"), re.compile(r"\sand\s")
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge)(?![a-zA-Z])")
_ROW, _CELL = re.compile(r"\\\\"), re.compile("&")


def _composite_key(form: str, depth: int) -> str | None:
    """Key of a union, set, list, tuple, interval, matrix or a pair of signs; None if it is none of them."""
    union = split(form, _UNION)
    if len(union) > 1:
        return "union " + _unordered(union, depth)
    alternatives = split(form, _OR)
    if len(alternatives) > 1 and all(map(_INEQUALITY.search, alternatives)):
        return "either " + _unordered(alternatives, depth)
    conditions = split(form, _AND)
    if len(conditions) > 1 and all(map(_INEQUALITY.search, conditions)):
        related = [_key(condition, depth + 1).removeprefix("relation ") for condition in conditions]
        return "relation " + " & ".join(sorted(related))
    items = [item for item in split(form, _COMMA) if item.strip()]
    if len(items) > 1:
        return "set " + _unordered([ASSIGNMENT.sub("", item.strip(), count=1) for item in items], depth)
    if form.startswith("\\{") and form.endswith("\\}"):
        inner = [item for item in split(form[2:-2], _COMMA) if item.strip()]
        return "set " + _unordered(inner, depth) if inner else "empty"
    matrix = _MATRIX.fullmatch(form)
    if matrix is not None:
        rows = [row for row in split(matrix["cells"], _ROW) if row.strip()]
        keys = [[_key(cell, depth + 1) for cell in split(row, _CELL)] for row in rows]
        return "matrix " + ";".join(",".join(row) for row in keys)
    if form[:1] in {"(", "["} and form[-1:] in {")", "]"}:
        return _bracketed_key(form, depth)
    if len(re.findall(r"\\pm(?![a-zA-Z])", form)) == 1:
        return "set " + _unordered([re.sub(r"\\pm(?![a-zA-Z])", sign, form) for sign in "+-"], depth)
    return None


def _bracketed_key(form: str, depth: int) -> str | None:
    inner = form[1:-1]
    if _unbalanced(inner):
        return None
    items = split(inner, _COMMA)
    rows = [split(item.strip()[1:-1], _COMMA) for item in items if re.fullmatch(r"\s*\[.*\]\s*", item, re.DOTALL)]
    if form[0] == "[" and len(rows) == len(items) > 1 and len({len(row) for row in rows}) == 1:
        return "matrix " + ";".join(",".join(_key(cell, depth + 1) for cell in row) for row in rows)
    if len(items) > 1:
        return f"{form[0]} {','.join(_key(item, depth + 1) for item in items)} {form[-1]}"
    return _key(inner, depth + 1) if form[0] == "(" and form[-1] == ")" else None


def _unbalanced(inner: str) -> bool:
    """Whether a bracket closes inside that was opened outside, as in (1)(2) without its ends."""
    return min(accumulate((symbol in "([") - (symbol in ")]") for symbol in inner), default=0) < 0


def _unordered(items: list[str], depth: int) -> str:
    keys = sorted({_key(item, depth + 1) for item in items})
    return "{" + ", ".join(keys) + "}"


def _relation_key(form: str, depth: int) -> str | None:
    """Key of an equation or inequality, or of a chain of them; None where there is no relation sign."""
    signs = [_RELATION_NAMES.get(match[0], match[0]) for match in _RELATION.finditer(form)]
    sides = split(form, _RELATION)
    if len(sides) != len(signs) + 1 or not signs or not all(side.strip() for side in sides):
        return None
    if set(signs) == {"="} and (len(signs) > 1 or _ARITHMETIC.fullmatch(_COMMANDS.sub(" ", sides[0]))):
        found = [_key(side, depth + 1) for side in sides]
        return found[-1] if may_be_equal(found) else f"untrue {form}"
    keys = []
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        if sign in _MIRRORED:
            left, sign, right = right, _MIRRORED[sign], left
        keys.append(_difference_key(left.strip(), sign, right.strip()))
    return "relation " + " & ".join(sorted(keys))


def may_be_equal(keys: list[str]) -> bool:
    """Whether the numbers of a chain of equations are one number, up to rounding and a percent sign: 5 = 4 is none."""
    numbers = [float(key.removeprefix("number ")) for key in keys if _REAL_KEY.fullmatch(key)]
    last = numbers[-1] if numbers else 0.0
    return all(
        any(abs(scale * number - last) <= _ROUNDED * abs(last) for scale in (1.0, 100.0, 0.01)) for number in numbers
    )


def _difference_key(left: str, sign: str, right: str) -> str:
    """Key of left - right up to a factor: any for equations, a positive one for inequalities."""
    literal = f"{left} {sign} {right}".replace(" ", "")
    values = _values(f"({left})-({right})")
    if values is None or not values.symbols:
        return literal
    first = values.values[0][0]
    if any(imaginary for _, imaginary in values.values) or abs(first) < _NOISE:
        return literal
    scale = first if sign in {"=", "≠"} else abs(first)
    return f"{','.join(values.symbols)} {sign} " + " ".join(_digits(real / scale) for real, _ in values.values)


def _values(form: str) -> Values | None:
    try:
        values = (algebra_values(form) or values_of(form)) if _may_have_values(form) else None
    except NoValueError:
        return None
    if values is None or any(_too_large(part) for part in values.values[0]):
        return None
    # A high power is beyond bounds far out, and tells enough nearby.
    return Values(values.symbols, tuple(pair for pair in values.values if not any(map(_too_large, pair))))


def _too_large(value: Decimal) -> bool:
    return bool(value) and abs(value.adjusted()) > _LARGEST


def _may_have_values(form: str) -> bool:
    """Whether the grammar is worth its time: balanced, in its alphabet, and no running text."""
    return (
        not _NO_MATHEMATICS.search(form)
        and all(form.count(opening) == form.count(closing) for opening, closing in ("{}", "()", "[]"))
        and not _DIGITS_SIDE_BY_SIDE.search(form)
        and not has_words(form)
    )


def has_words(form: str) -> bool:
    """Whether there are words in a form, beside commands and letters that are factors."""
    return any(not _is_product(word) for word in _LETTERS.findall(_COMMANDS.sub(" ", form)))


def _literal(form: str) -> str:
    return "literal " + _BLANK.sub("", form)


def _constant(values: Values) -> bool:
    """Whether a formula has one value at all points, as sin^2 x + cos^2 x has."""
    first, *others = values.values
    same = all(abs(a - b) < _NOISE for other in others for a, b in zip(first, other, strict=True))
    return same and len(values.values) == POINTS


def _digits(value: Decimal) -> str:
    return "0" if abs(value) < _NOISE else f"{value:.10e}"


def _value_key(form: str) -> str:
    values = _values(form)
    if values is None:
        return _literal(form)
    if values.symbols and not _constant(values):
        points = [f"{_digits(real)} {_digits(imaginary)}" for real, imaginary in values.values]
        return f"formula {','.join(values.symbols)} " + " ".join(points)
    real, imaginary = values.values[0]
    if abs(imaginary) < _NOISE:
        return "number " + _grid(Fraction(real))
    return f"number {_grid(Fraction(real))} + {_grid(Fraction(imaginary))} i"
