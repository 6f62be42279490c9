"""From what a model wrote to what a page shows: escaped text, with mathematics and code marked for typesetting.

Everything that a model wrote stays text. Mathematics becomes a `<span class="tex">` that holds its source, which the
page's script typesets; code is coloured here. No other tag is made, and none from the text survives.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from markupsafe import Markup, escape

from memreward.domains import rules_of

LONGEST = 20_000
"""Characters of a text that are shown."""
_LONGEST_TEX = 2_000

_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"
# A dollar is a price unless it stands as pandoc wants it: no blank inside, no digit behind.
_TEX = re.compile(
    r"(?P<display>\$\$.+?\$\$|\\\[.+?\\\]|\\begin\{(?P<env>align\*?|equation\*?|gather\*?|cases|[bpv]?matrix)\}.+?"
    r"\\end\{(?P=env)\})"
    r"|(?P<inline>\\\(.+?\\\)|(?<![\\$\w])\$(?![\s$])(?:[^$\n\\]|\\.)+?(?<![\s\\])\$(?![\d$])|\\boxed" + _BRACES + ")",
    re.DOTALL,
)
_LOOKS_LIKE_TEX = re.compile(r"\\[A-Za-z]+|[_^]\{?\w|\d\^")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text with characters that change how others look, or cannot be seen, spelt out; cut where too long."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}\n[{len(text) - LONGEST} more characters]"
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", shown)


def raw(text: str) -> Markup:
    return escape(visible(text))


def prose(text: str) -> Markup:
    shown, at, parts = visible(text), 0, []
    for match in _FENCE.finditer(shown):
        parts += [*_mathematics(shown[at : match.start()]), code(match[2], match[1])]
        at = match.end()
    parts += _mathematics(shown[at:])
    return Markup("").join(parts)


def code(text: str, language: str = "python") -> Markup:
    return Markup('<pre class="code" tabindex="0"><code>{}</code></pre>').format(_coloured(text, language or "python"))


def answer(text: str, domain: str) -> Markup:
    """Return an answer: code coloured, a formula without delimiters typeset too."""
    if rules_of(domain).program:
        return code(visible(text))
    marked = prose(text)
    if domain == "math" and "tex" not in marked and _LOOKS_LIKE_TEX.search(text) and len(text) < _LONGEST_TEX:
        return _tex(visible(text), display=False)
    return marked


def _mathematics(text: str) -> Iterator[Markup]:
    at = 0
    for match in _TEX.finditer(text):
        yield escape(text[at : match.start()])
        whole = match[0]
        delimiter = next((each for each in ("$$", "\\[", "\\(", "$") if whole.startswith(each)), "")
        inside = whole[len(delimiter) : len(whole) - len(delimiter)]
        yield _tex(inside, display=match["display"] is not None) if len(inside) < _LONGEST_TEX else escape(whole)
        at = match.end()
    yield escape(text[at:])


def _tex(source: str, *, display: bool) -> Markup:
    kind = "tex display" if display else "tex"
    return Markup('<span class="{}">{}</span>').format(kind, source)


@lru_cache(maxsize=512)
def _coloured(text: str, language: str) -> Markup:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return escape(text)
    return Markup(highlight(text, lexer, HtmlFormatter(nowrap=True)))  # its formatter escapes every token
