"""Where a completion says that its answer stands: tags, boxes, `####`, `A:` lines, "the answer is"."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_THINK_TAG = re.compile(r"<(/?)(?:seed:)?(?:think|thinking)>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_BOX_TOKEN = re.compile(r"\\f?box(?:ed)?[ \t\n]{0,8}\{|\\[\s\S]|[{}]")
_BARE_BOX = re.compile(r"\\f?box(?:ed)?[ \t]{1,4}([^\s{}$\\]{1,40})")
_BETWEEN_BOXES = re.compile(r"[\s$.]*(?:,|;|/|and|or|\\text\{\s*(?:and|or)\s*\}|\\quad)[\s$]*(?:and|or)?[\s$]*")
_LONGEST_GAP = 40
_BARE_OPENING = re.compile(r"\\f?box(?:ed)?[ \t]{1,4}(?=[^\s{}])")
# On a line of its own, or behind the last sentence.
_HASH_LINE = re.compile(
    r"^[ \t]{0,8}####(?!#)[ \t]*(\S[^\n]*)$|(?<=[.!?)$}])[ \t]{1,3}####(?!#)[ \t]*(\S[^\n]{0,60})\s*\Z", re.MULTILINE
)
_A_LINE = re.compile(r"^[ \t]{0,8}A:[ \t]*(\S[^\n]*)$(?!\n[ \t]{0,8}B:)", re.MULTILINE)
_PHRASE = re.compile(
    r"\b(?:answers?|choice|result|solutions?|roots|zeros|(?:correct|best|right)[ \t]option)\b"
    r"(?:[ \t]+(?:choice|option|here|to[ \t]+(?:the|this)[ \t]+(?:question|problem|blank|exercise|puzzle|riddle|task)"
    r"|\([^()\n]{1,40}\)))?[*_ \t]{0,6}"
    r"(?:\b(?:is|(?<=s )are|(?:would|must|should)[ \t]+be)\b|(?<=answer):|(?<=answer\*\*):"
    r"|(?<=answer )(?:[:=]|→|⇒|-?->))"
    r"[*_:= \t]{0,6}",
    re.IGNORECASE,
)
_FIRST_STEP = re.compile(r"1[.)]\s[*_]{0,2}[A-Z][a-z]+\s\S+\s")  # of a list, before any answer
_OPEN_COMMAND = re.compile(r"\w\{[^{}\n]*\Z")  # \\text{Answer: }
_CODE_BLOCK = re.compile(r"^[ \t]{0,8}```[ \t]*(?:python|py)\b.*?(?:^[ \t]{0,8}```|\Z)", re.MULTILINE | re.DOTALL)
_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")


@dataclass(frozen=True, slots=True)
class Marked:
    """A place where the text commits to an answer, its content untrimmed; `end` is behind content and marker."""

    content: str
    start: int
    form: str
    end: int


def split_thinking(text: str) -> tuple[str | None, str, bool]:
    """Return the thinking (None without think tags), what follows its last closing tag, and whether it was closed.

    An opening tag is optional, as in DeepSeek's templates.
    """
    tags = list(_THINK_TAG.finditer(text))
    if not tags:
        return None, text, True
    first, last = tags[0], tags[-1]
    begin = 0 if first[1] else first.end()
    if not last[1]:
        return text[begin:].strip(), "", False
    return text[begin : last.start()].strip(), text[last.end() :], True


def last_match(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    """The last match from `start` on, without keeping the others."""
    return next(iter(deque(pattern.finditer(text, start), maxlen=1)), None)


def without_calculator(text: str) -> str:
    """Drop calculator annotations such as `<<60/3=20.0>>`."""
    return _CALCULATOR.sub("", text)


def without_code(text: str) -> str:
    """Drop fenced Python, so that its variables and numbers are not taken for what the text says."""
    return _CODE_BLOCK.sub("", text)


def answer_tag(text: str) -> Marked | None:
    """The last `<answer>` element; one that is not closed reaches to the end of the text."""
    opening: re.Match[str] | None = None
    found: Marked | None = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opening = tag
        elif opening is not None:
            found = Marked(text[opening.end() : tag.start()].strip(), opening.start(), "answer_tag", tag.end())
            opening = None
    if opening is not None and text[opening.end() :].strip():
        found = Marked(text[opening.end() :].strip(), opening.start(), "answer_tag", len(text))
    return found


@lru_cache(maxsize=8)
def boxes(text: str) -> tuple[Marked, ...]:
    r"""Every complete `\boxed{...}` or `\fbox{...}` in order, braces nested to any depth; boxes inside are opened."""
    if "box" not in text:
        return ()
    found = [Marked(bare[1], bare.start(), "boxed", bare.end()) for bare in _BARE_BOX.finditer(text)]
    inside: list[tuple[int, int]] = []
    spans = sorted(_box_spans(text), reverse=True)
    while spans:
        start, begin, end = spans.pop()
        while spans and spans[-1][0] < end:
            inner, opened, closed = spans.pop()
            inside += [(inner, opened), (closed, closed + 1)]
        found.append(Marked(_without_spans(text, begin, end, inside).strip(), start, "boxed", end + 1))
        inside.clear()
    found.sort(key=lambda mark: mark.start)
    return tuple(mark for index, mark in enumerate(found) if not index or mark.start >= found[index - 1].end)


def _box_spans(text: str) -> list[tuple[int, int, int]]:
    """Where boxes start, where their contents begin, and where those end."""
    spans: list[tuple[int, int, int]] = []
    stack: list[tuple[int, int] | None] = []
    # No brace before the first box opens or closes one.
    first = len(text[: text.find("box")].removesuffix("f").rstrip("\\"))
    for token in _BOX_TOKEN.finditer(text, first):
        symbol = token[0]
        if symbol == "{":
            stack.append(None)
        elif symbol == "}":
            opening = stack.pop() if stack else None
            if opening is not None:
                spans.append((*opening, token.start()))
        elif len(symbol) > 2:
            stack.append((token.start(), token.end()))
    return spans


def _without_spans(text: str, begin: int, end: int, spans: list[tuple[int, int]]) -> str:
    pieces = []
    for start, stop in sorted(spans):
        pieces.append(text[begin:start])
        begin = stop
    return _BARE_OPENING.sub("", "".join([*pieces, text[begin:end]]))


def boxed(text: str) -> Marked | None:
    r"""The last box; `\boxed{1} and \boxed{2}`, with nothing else between, are one answer of two parts."""
    found = boxes(text)
    return joined(text, found) if found else None


def joined(text: str, found: Sequence[Marked]) -> Marked:
    """The last of several boxes, with those that stand in a row before it."""
    first = len(found) - 1
    while first > 0:
        gap = text[found[first - 1].end : found[first].start]
        if len(gap) > _LONGEST_GAP or not _BETWEEN_BOXES.fullmatch(gap):
            break
        first -= 1
    contents = [mark.content for mark in found[first:]]
    return Marked(", ".join(contents), found[first].start, "boxed", found[-1].end)


def _last_line(pattern: re.Pattern[str], sign: str, text: str, form: str) -> Marked | None:
    last = last_match(pattern, text) if sign in text else None
    return None if last is None else Marked(last[last.lastindex or 1].strip(), last.start(), form, last.end())


def explicit(text: str) -> Marked | None:
    """The committed answer in a form made for machines: answer tag first, else the latest box, `####` or `A:` line."""
    tagged = answer_tag(text)
    if tagged is not None:
        return tagged
    marks = [boxed(text), _last_line(_HASH_LINE, "####", text, "hash"), _last_line(_A_LINE, "A:", text, "a_line")]
    present = [mark for mark in marks if mark is not None]
    return max(present, key=lambda mark: mark.start) if present else None


def phrases(text: str) -> list[Marked]:
    """Every "the answer is ..." in order; the content reaches to the end of its line, or is the next line."""
    found = []
    for match in _PHRASE.finditer(text):
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        if "\\begin{" in text[match.end() : end]:  # a matrix over several lines
            closed = text.find("\\end{", match.end(), match.end() + 400)
            end = max(end, text.find("}", closed) + 1 if closed >= 0 else end)
        content = text[match.end() : min(end, match.end() + 400)].strip(" \t*_")
        if content.startswith("}") and _OPEN_COMMAND.search(text, max(match.start() - 40, 0), match.start()):
            content = content[1:]
        if content in {"", "\\[", "$$", "\\("}:
            content = _following_lines(text, end)
        if content:
            found.append(Marked(content, match.start(), "phrase", match.end()))
    return found


def _following_lines(text: str, position: int) -> str:
    for line in text[position : position + 400].split("\n"):
        line = line.strip(" \t*_")
        if line not in {"", "\\[", "$$", "\\]", "\\("}:
            return "" if _FIRST_STEP.match(line) else line
    return ""
