"""What answers are wrapped in: tags of any name, JSON, chat tokens, Markdown, LaTeX, quotes, brackets."""

import json
import re

from memreward.domains.shared.markers import explicit, last_match, phrases, split_thinking
from memreward.domains.shared.turns import next_question, own_turn

_THINKING = re.compile(r"<\|begin_of_thought\|>|<\|im_start\|>think\b|◁think▷|\[THINK\]")
_THOUGHT = re.compile(
    r"<\|end_of_thought\|>|<\|im_start\|>answer\b|◁/think▷|\[/THINK\]|<\|channel\|>final(?:<\|constrain\|>\w{1,20})?<\|message\|>"
)
_OPENING = re.compile(r"\A\s{0,20}<(thoughts?|reasoning|scratchpad|reflection|analysis)>", re.IGNORECASE)
_CHAT_TOKEN = re.compile(
    r"<\|(?:im_start|start|start_header_id)\|>\w{0,20}|<[|｜][^<>|｜\n]{1,40}[|｜]>|</?s>|<(?:end|start)_of_turn>(?:model|user)?|<(?:eo[aehms]|bos|pad|unk)>|\[/?INST\]"
)
_ATTRIBUTES = r"""(?:\s{1,4}[\w-]{1,30}=(?:"[^"<>\n]{0,80}"|'[^'<>\n]{0,80}')){0,4}\s{0,4}"""
_FORMATTING = re.compile(
    rf"<(/?)(b|i|u|em|strong|span|mark|code|p|div|font|center|small|big|kbd|tt|li|ul|ol|h[1-6]){_ATTRIBUTES}>",
    re.IGNORECASE,
)
_NEW_LINE = re.compile(r"<br ?/?>")
_STRUCK = re.compile(
    r"<(s|del|strike|(?:wrong|incorrect|rejected|discarded|false|not)(?:[-_ ]\w{1,20})?)>[^<>\n]{0,300}</\1>"
    r"|~~[^~\n]{1,300}~~|\\[hv]?phantom\s?\{[^{}\n]{0,300}\}|\\begin\{comment\}[\s\S]{0,2000}?\\end\{comment\}",
    re.IGNORECASE,
)
_SURE = r"ans|answers?|final|(?:final|correct|my)[-_ ]?(?:answer|choice|option)|answer[-_ ]?(?:choice|letter|option)"
_LIKELY = r"result|solution|output|response|choice|option|letter|prediction|conclusion|label|value|verdict|submit"
_ANSWER_TAG = re.compile(rf"<(/?)(?:({_SURE})|({_LIKELY})){_ATTRIBUTES}>", re.IGNORECASE)
_BRACKET_TAG = re.compile(rf"\[(?:{_SURE})\]([^\[\]\n]{{1,200}})\[/(?:{_SURE})\]", re.IGNORECASE)
_FINISH = re.compile(r"\bfinish\[([^\[\]\n]{1,200})\]", re.IGNORECASE)
_LAST_ELEMENT = re.compile(rf"<([A-Za-z][\w-]{{0,30}}){_ATTRIBUTES}>\s{{0,9}}([^<>\n]{{1,200}})</\1>[\s.]{{0,9}}\Z")
_DOUBLE_BRACKETS = re.compile(r"\[\[\s{0,4}([^\[\]\n,]{1,60})\]\]")
_JSON_ANSWER = re.compile(
    r"""["'](?:final|correct|my|predicted|selected|chosen|best)?[_ -]?"""
    r"""(?:answer|ans|choice|option|result|letter|solution|label|prediction|output"""
    r"""|final)"""
    r"""(?:[_ -]?(?:letter|choice|option|key))?["']\s{0,9}:\s{0,9}"""
    r"""(\[?|\{\s{0,9}["'](?:value|text|final|choice|letter|number)["']\s{0,9}:)\s{0,9}"""
    r"""("(?:[^"\\\n]|\\.){0,300}"|'[^'\n]{0,300}'|-?\d(?:,?[\d.]){0,40}(?:[eE][-+]?\d{1,3})?|true|false)""",
    re.IGNORECASE,
)
_JSON_RIVAL = re.compile(
    r"""["'](?:(?:alternat|other|second|backup|fallback|final|not)\w{0,6}["']\s?:|(?:is_?)?(?:correct|valid|final|true)["']\s?:\s?false"""
    r"""|\w{0,20}correct(?:ed|ion)\w{0,9}["']\s?:"""
    r"""|(?:unit|scale|multiplier|magnitude)s?["']\s?:\s?["'](?:dozen|hundred|thousand|million|billion|percent|[km%])s?["']"""
    r"""|(?:comment|note|remark|status|verdict)["']\s?:\s?["'](?:(?:this|it|that) is )?"""
    r"""(?:wrong|incorrect|false|not\b))""",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^[ \t]{0,3}[#*_][#*_ \t]{0,8}(?:(?:the|my)[ \t])?(?:(?:final|correct)[ \t])?answer[*_: \t]{0,6}\n\s{0,9}(?=\S)",
    re.IGNORECASE | re.MULTILINE,
)
_LETTER_ENDS_LINE = r"[*(]{0,3}(?-i:[A-Z])[*).]{0,3}\s{0,3}(?:\n|\Z)"
_OTHER_LANGUAGES = re.compile(
    r"(?:\b(?:antwort|respuesta|réponse|risposta|resposta|ответ|odpowiedź|cevap|antwoord|svar|ans|jawaban(?:nya)?|उत्तर)"
    r"(?:\s?[*_ ]{0,4}[:：=.]"
    r"|(?: correcta| corretta| correta| yang benar)?\s(?:ist|lautet|est|es|è|é|to|adalah)[:\s]\s?"
    r"(?:la\s|el\s|die\s|a\s)?(?:(?:opción|opção|opzione|alternativa|letra)\s)?"
    rf"|\s(?={_LETTER_ENDS_LINE}))"
    r"|\b(?:opción|option|opzione|opção|alternativa)\s(?:correcta|correcte|corretta|correta)\s(?:es|est|è|é)\s(?:la\s|a\s)?"
    r"|\b(?:bonne\sréponse\sest\s(?:la\s)?|richtig\sist\s|lösung:|правильный\sответ\s[—–-])"
    r"|\b(?:đáp án|câu trả lời)(?: đúng| cuối cùng)?(?:\slà\b|:)"
    r"|\b(?:الجواب|الإجابة)(?: النهائية?| الصحيحة?)?(?:\s(?:هو|هي)\b|:)"
    r"|(?:คำตอบ|คําตอบ)(?:สุดท้าย)?(?:คือ|:)|\bjibu(?:\sni\b|:)|(?:উত্তর|సమాధానం|జవాబు)\s?(?::|হলো?\b|হল|(?=[-$]?\d[\d,.]*\b(?!\s?(?:নয়|కాదు))))|\b(?:cevap|उत्तर)\s(?=[-$]?\d[\d,.]*(?!\s?(?:değil|नहीं|নয়|కాదు))\b)"
    r"|【答案】|(?:答案|答え|正解|정답|\b답)[ *_]{0,4}(?:应该|应)?[为是は은：:](?:选项)?"
    r"|(?<![不没别勿非])(?<!不[应能可])(?:故|因此|所以|应)?选择?[：:]?(?=[ *(]{0,3}[A-Z]))[ *_]{0,4}"
    r"(?:([A-Z](?=です|である|입니다|[^\W\da-zA-Z])|-?\d[\d,.]{0,15}(?=です|である|입니다))"
    r"(?:です|である|입니다|이다|选项|项)?)?",
    re.IGNORECASE,
)
# "B项正确", "选项B是正确的" and "Bが正解", of one option alone.
_CORRECT_ABROAD = re.compile(
    r"(?<![A-Za-z和及与非果若说设])(?<![A-Z]、)(?:选项\s?)?\(?([A-Z])\)?\s?(?:选项|项)?\s?(?:(?:是|为)?\s?(?:唯一)?正确(?:的?答案|的?选项|的)?|が正解)(?![吗性率与和的可说不则]|\s?[?？]|では|じゃ)"
)
_FOREIGN = "antwort respuesta risposta resposta cevap antwoord svar richtig jawaban jibu alternativa"
"""Words of `_OTHER_LANGUAGES` in ASCII, by which most texts are passed over at once; "ans" is looked for apart."""
_ANS = re.compile(r"ans[*_ ]{0,4}[:=.]|ans\s(?:corr?ett?a|correcta|es|to)\s")
_PICTURES = r"(?:(?![🚫👎🙅])[\U0001f300-\U0001f5ff\U0001f680-\U0001f8ff✅✔]\ufe0f?\s{0,3}){1,9}"
_DECORATED = re.compile(rf"\A\s{{0,9}}{_PICTURES}|\s{_PICTURES}\Z")
# Letters and digits of full width, and capitals in circles and squares.
_WIDE = {0xFF01 + place: 0x21 + place for place in range(94)}
_WIDE |= {first + place: 65 + place for first in (0x24B6, 0x1F130, 0x1F150, 0x1F170) for place in range(26)}
_NEAR = 200
_END_READ = 4000
_JOINED = re.compile(r"(?<=[a-z])(?<!not_the)_(?=answer[*_ ]{0,4}:)", re.IGNORECASE)  # FINAL_ANSWER:
# A place of the prompt's template that the reply left as it was: "The answer is <your answer>."
_UNFILLED = re.compile(
    r"(?:\b(?:the )?(?:final |correct )?answer(?: is)?:?[*_ ]{0,4})?(?:\\boxed\s?)?"
    r"[<\[{(]{1,2}(?:(?:insert|put|write) (?:the |your )?|your )(?:final )?answer(?: here)?[>\]})]{1,2}\.?",
    re.IGNORECASE,
)
_CONFIDENCE = re.compile(
    r"\n\W{0,9}(?:my )?(?:confidence|probability|certainty)(?: (?:level|score|rating))?(?:\s?\([^()\n]{1,20}\))?"
    r"[*_]{0,2}[:=][*_]{0,2}\s?(?:(?:(?:very|fairly|quite|extremely) )?(?:high|medium|moderate|certain|sure|strong)"
    r"|(?!0{1,3}(?:\.0{1,9})?(?!\.?\d))\d{1,3}(?:\.\d{1,9})?\s?(?:%|/\s?\d{1,3}|out of \d{1,3})?)[.*_\s]*\Z",
    re.IGNORECASE,
)
"""How sure a model says that it is, below its answer; not at all sure, it gives none."""

_FENCE = re.compile(r"```\w{0,20}\s([\s\S]{0,400}?)\s?```|```([^`\n]{1,400})```")
_COMMAND = re.compile(
    r"\\(?:(?:text)?color\s?\{(?!white)\w{1,20}\}|f?colorbox(?:\s?\{\w{1,20}\}){1,2}|text(?:bf|it|rm|sf|tt|normal)?|"
    r"math(?:bf|rm|it|sf|tt)|bold(?:symbol)?|emph|underline|mbox|boxed|fbox|bf|rm)"
    r"\s{0,4}\{([\s\S]*)\}"
)
_QUOTES = [(mark, mark) for mark in ("**", "__", "*", "_", "`", '"', "'", "$$", "$")]
_QUOTES += [("“", "”"), ("‘", "’"), ("«", "»"), ("„", "“"), ("「", "」"), ("『", "』"), ("\\(", "\\)"), ("\\[", "\\]")]
_BRACKETS = [("\\left(", "\\right)"), ("\\left[", "\\right]"), ("(", ")"), ("[", "]"), ("{", "}"), ("<", ">")]
_BRACKETS += [("⟨", "⟩"), ("|", "|"), ("【", "】"), ("（", "）")]
_IN_BARS = re.compile(r"\|\s{0,4}(?:[\d,.]+|[A-Z]|[^\W\d_]{2,}(?: [^\W\d_]+){0,5})\s{0,4}\|")
_SIGN = r"(?![❌✗✘☒🚫])[\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]"
_LEADING = re.compile(rf"(?:#{{1,6}}\s|>\s|[-*•]\s(?!\s{{0,4}}\d)|[:=]|{_SIGN}|=>|->|\\;|\\,)+\s{{0,9}}")
_TRAILING = re.compile(rf"(?:\s{{0,4}}(?:[.,;:…。]|\\[,;:!. ]|<[=-]{{1,4}}|{_SIGN}))+\Z")
_EXCLAIMED = re.compile(r"([^\W\d_])[!?]{1,4}\Z")
_SIMPLE = re.compile(
    r"[-+−]?(?:\\?[$£€])?\s?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?\s?(?:\\?%)?"
    r"|[^\W\d_][^\W_'’]*(?:['’-][^\W_]+)*(?: [^\W_]+(?:['’-][^\W_]+)*){0,5}"
)
_LAYERS = 12
_BEGINS_WITH_ANSWER = re.compile(
    r"\W{0,3}(?:(?:yes|no|true|false)\b|[A-Ja-j](?:[).:]|\s{0,3}\n)|\d[\d,.]*(?=[^\d).:]|$))", re.IGNORECASE
)
_WORDS_OF_ANSWER = 3
_OPENS = re.compile(r"\W{0,3}(?:let|sure|ok|okay|here|well|first|step|now|certainly|to)\b", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"(?:^|[.!?]\s)\W{0,3}(?:so|therefore|thus|hence|in total|altogether|finally|in conclusion)\b"
    r"[^\n]{1,300}[^\w\s:,]\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)


def answer_region(text: str) -> tuple[str | None, str, bool]:
    """Return the thinking (None without one), what follows it with its markup made plain, and whether it was closed."""
    thinking, rest, closed = split_thinking(_with_think_tags(own_turn(text)))
    return None if thinking is None else plain_markup(thinking), plain_markup(_answered(rest)), closed


def made_up(text: str) -> str:
    """Return what a reply goes on with where it asks another question after it has answered; "" where it does not."""
    rest = split_thinking(_with_think_tags(own_turn(text)))[1]
    return rest[len(_answered(rest)) :]


def own_reply(text: str) -> str:
    """Return a text without marked thinking as it stands, up to where another turn or another question begins."""
    return _answered(own_turn(text))


def _answered(text: str) -> str:
    """The text up to where it asks another question after it has answered."""
    asked = next_question(text)
    if asked is None:
        return text
    reply = plain_markup(text[:asked]).strip()
    short = len(reply.split()) <= _WORDS_OF_ANSWER and _OPENS.match(reply) is None
    answers = short or _BEGINS_WITH_ANSWER.match(reply) or _CONCLUDES.search(reply)
    return text[:asked] if answers or explicit(reply) is not None or phrases(reply) else text


def plain_markup(text: str) -> str:
    """Return the text with every way to set an answer apart written as `<answer>`, without chat and format tokens."""
    text = text if text.isascii() else text.translate(_WIDE)
    if "</" in text or "~~" in text or "phantom" in text or "{comment}" in text:
        text = _STRUCK.sub(" ", text)
    if "<" in text or "INST]" in text:
        text = _with_answer_tags(_without_formatting(_CHAT_TOKEN.sub("", _NEW_LINE.sub("\n", text))))
    if "[[" in text or "[/" in text or "inish[" in text:
        text = _without_brackets(text)
    if "{" in text:
        text = _with_json_answer(text)
    text = text if text.isascii() else _DECORATED.sub("", text)
    lower = text.lower()
    text = _with_plain_labels(text, lower)
    if "answer" in lower:
        text = _HEADING.sub("Answer: ", text)
    if "正" in text:
        text = text[:-_END_READ] + _CORRECT_ABROAD.sub(r" Answer: \1. ", text[-_END_READ:])
    if not text.isascii() or any(word in lower for word in _FOREIGN.split()) or _ANS.search(lower):
        text = _OTHER_LANGUAGES.sub(lambda found: f" Answer: {found[1] or ''} ", text)
    if "<" in text and "<answer>" not in text.lower():
        begin = max(0, len(text) - 2 * _NEAR)
        last = _LAST_ELEMENT.search(text, begin)
        if last is not None:
            text = _replaced(text, last.start(), len(text), last[2])
    return text


def _with_plain_labels(text: str, lower: str) -> str:
    """The text with FINAL_ANSWER as two words, without places left for it, and the last line on how sure it is."""
    if "your" in lower or "answer here" in lower:
        text = _UNFILLED.sub("", text)
    if any(word in lower[-_NEAR:] for word in ("confiden", "probabil", "certain")):
        text = _CONFIDENCE.sub("", text, count=1)
    return _JOINED.sub(" ", text) if "_answer" in lower else text


def _without_brackets(text: str) -> str:
    """The text with `[answer]...[/answer]`, `Finish[...]`, and the last `[[...]]`, as an `<answer>`."""
    text = _BRACKET_TAG.sub(r"<answer>\1</answer>", text)
    text = _FINISH.sub(r"<answer>\1</answer>", text)
    doubled = last_match(_DOUBLE_BRACKETS, text)
    if doubled is None or not _SIMPLE.fullmatch(doubled[1].strip()):
        return text
    return _replaced(text, doubled.start(), doubled.end(), doubled[1])


def peeled(content: str) -> str:
    """Take off what is wrapped around a letter, a few words or a number; anything else comes back as it was."""
    content = content.strip()
    if len(content) > 2 * _NEAR or _SIMPLE.fullmatch(content):
        return content
    bare = content
    for _ in range(_LAYERS):
        inner = _without_layer(bare)
        if inner == bare:
            break
        bare = inner
    return bare if _SIMPLE.fullmatch(bare) else content


def _without_layer(text: str) -> str:
    fence = _FENCE.fullmatch(text)
    if fence is not None:
        return str(fence[1] or fence[2] or "").strip()
    command = _COMMAND.fullmatch(text)
    if command is not None:
        return command[1].strip()
    # A bracket around a comma may be a point or an interval, bars around a formula its absolute value.
    if text.startswith("|") and not _IN_BARS.fullmatch(text):
        return text
    for opening, closing in _QUOTES if "," in text else (*_QUOTES, *_BRACKETS):
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            return text[len(opening) : len(text) - len(closing)].strip()
    leading = _LEADING.match(text)
    text = text[leading.end() :] if leading is not None else text
    return _EXCLAIMED.sub(r"\1", _TRAILING.sub("", text)).strip()


def _with_think_tags(text: str) -> str:
    """The text with the think tags of other families as `<think>` and `</think>`."""
    if "<|" in text or "◁" in text or "[THINK]" in text:
        text = _THOUGHT.sub("</think>", _THINKING.sub("<think>", text))
    if text.startswith("analysis") and "assistantfinal" in text:  # the channels of gpt-oss without their tokens
        thinking, _, reply = text.removeprefix("analysis").rpartition("assistantfinal")
        return f"<think>{thinking}</think>{reply}"
    opening = _OPENING.match(text)
    if opening is None:
        return text
    closing = text.lower().rfind(f"</{opening[1].lower()}>")
    if closing < 0:
        return text
    after = closing + len(opening[1]) + 3
    return f"<think>{text[opening.end() : closing]}</think>{text[after:]}"


def _without_formatting(text: str) -> str:
    closed = {tag[2].lower() for tag in _FORMATTING.finditer(text) if tag[1]}
    return _FORMATTING.sub(lambda tag: "" if tag[2].lower() in closed else tag[0], text)


def _with_answer_tags(text: str) -> str:
    tags = list(_ANSWER_TAG.finditer(text))
    pieces, position = [], 0
    for index, tag in enumerate(tags):
        near = tags[index + 1].start() - tag.end() if not tag[1] and index + 1 < len(tags) else 0
        far = tag[3] is not None and (near > _NEAR or (not tag[1] and index + 1 == len(tags)))
        pieces += [text[position : tag.start()], "\n" if far else f"<{tag[1]}answer>"]
        position = tag.end()
    return "".join([*pieces, text[position:]])


def _with_json_answer(text: str) -> str:
    """The value under "answer" in a JSON object that is all of the text, or its end, as an `<answer>`."""
    stripped = text.strip().removeprefix("```json").strip("`\n ")
    if not (stripped.startswith("{") or stripped.endswith("}")):
        return text
    found = list(_JSON_ANSWER.finditer(text))
    rest = text[found[-1].end() :] if found else ""
    cut_off = stripped.startswith("{") and rest.lstrip().startswith(",")
    if not found or not ("}" in rest or cut_off) or _JSON_RIVAL.search(text, found[-1].end()):
        return text
    value = found[-1][2]
    if found[-1][1].startswith("{") and not text[found[-1].end() :].lstrip().startswith("}"):
        return text  # a value with a unit, or with something said of it
    if found[-1][1] == "[" and (several := _items_of_json(text[found[-1].start(1) :])):
        return _replaced(text, found[-1].start(), len(text), several)
    if value[0] == '"':
        try:
            decoded = str(json.loads(value))
        except ValueError:
            decoded = "\0"
        # LaTeX that was not escaped for JSON is no JSON, or has a form feed in place of \\f.
        value = decoded if decoded.isprintable() else value.strip('"')
    elif value[0] == "'":
        value = value.strip("'")
    return _replaced(text, found[-1].start(), len(text), value)


def _items_of_json(text: str) -> str:
    """The plain items of the list at the begin of a text, joined by commas; "" where it is no such list."""
    try:
        items = json.JSONDecoder().raw_decode(text[: 2 * _NEAR])[0]
    except (ValueError, RecursionError):
        return ""
    plain = isinstance(items, list) and all(isinstance(item, str | int | float) for item in items)
    return ", ".join(map(str, items)) if plain else ""


def _replaced(text: str, start: int, end: int, answer: str) -> str:
    return f"{text[:start]}<answer>{answer.strip()}</answer>{text[end:]}"
