"""Why what follows an answer may take it back, where a reply seems to go on with another question."""

import re

from memreward.domains.shared.dress import answer_region, made_up, plain_markup
from memreward.domains.shared.markers import explicit, last_match, phrases
from memreward.domains.shared.turns import next_question, prompt_before

_LABEL = re.compile(
    r"[\s*#]*(?:[^\W\d_]+[ \t]){0,2}[^\W\d_]+[ \t]?\d{0,4}[ \t]?(?:\*\*)?(?:[:：](?:\*\*)?|(?=\n|\Z))\s*"
)
_ANSWER_LABEL = re.compile(
    r"(?<!\w)(?:A|ans(?:wer)?|solution|response|output|assistant|explanation|reasoning|AI|bot|model"
    r"|antwort|respuesta|réponse|risposta|resposta|ответ|答案|答)"
    r"[ \t]?\d{0,4}[ \t]?(?:\*\*)?[:：]|#{1,6}[ \t]*(?:answer|solution|response|output)\b",
    re.IGNORECASE,
)
# It asks about the answer before it, or about what has been done, not about a thing of its own.
_ABOUT_IT = re.compile(
    r"(?:(?:is|was|are|were|do|does|did|has|have|had|can|could|would|should)(?:n['’]?t)? "
    r"(?:that|this|it|we|I|(?<!can )(?<!could )(?<!would )you|these|those)\b"
    r"|(?:so|therefore|thus|hence)\b|and (?:minus|plus|with|without|less)\b"
    r"|(?:[^\W\d]+ ){1,4}(?:he|she|they|his|her|their)\b"
    r"|[^\n.?]{0,40}\b(?:(?:the|final|my|your) answer|really|which (?:option|one) is it)\b"
    r"|(?:what|how) (?:if|about)\b|(?:please )?(?:try|check|redo|recheck|reconsider)\b"
    r"|(?:hmm|wait|no|but|or|sorry|oops|always|never|really|why)\b|the (?:answer|above|previous|last)\b"
    r"|(?:I|we|you)(?:['’](?:m|ve|re))? (?:think|forgot|missed|mis\w+|counted|double|made|used|did|got|am|are|were"
    r"|should|have (?:to|made|used|missed))\b|(?:that|this|it)(?:['’]s| (?:is|was|does|double|uses|ignores|counts))\b)",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"\b(?:wrong|incorrect|not (?:right|correct|true)|mistaken?|error|misread|misunderstood|forg[eo]t|overlooked|"
    r"double[- ]count\w*|counted [^.\n]{0,30}twice|try (?:it )?again|once more|sorry|apolog\w+|corrected|correction|"
    r"you(?:['’]re| are) right)\b",
    re.IGNORECASE,
)
_REPLIED = re.compile(r"\?\s{1,3}[^\W\d]{2,9}[.!,]\Z")
_ASKS = re.compile(
    r"\?|\b(?:find|compute|calculate|determine|evaluate|solve|simplify|prove|show|write|name|give|choose|select|what|which|add|"
    r"translate|summari[sz]e|explain|list|convert|round|count|tell|describe|"
    r"how|who|where|when)\b",
    re.IGNORECASE,
)
_OPEN_END = re.compile(r"(?:\A|\n)[ \t]*(?:A|Answer):\s*\Z", re.IGNORECASE)
# A record of several fields that says itself that its answer is none.
_RECORDED = re.compile(
    r"""["'](?:is_?)?(?:(?:correct|valid|right|true)["']\s?:\s?["']?(?:false|no|0)\b"""
    r"""|(?:wrong|incorrect|false)["']\s?:\s?["']?(?:true|yes|1)\b|confidence["']\s?:\s?["']?0(?:\.0+)?(?![\d.])"""
    r"""|(?:status|verdict)["']\s?:\s?["'](?:rejected|wrong|incorrect|false|invalid)\b)""",
    re.IGNORECASE,
)
_CONFIDENCE = re.compile(
    r"\n\W{0,9}(?:my )?(?:confidence|probability|certainty)\b"
    r"([^\n]{0,40}[:=]\W{0,4}(0{1,3}(?:\.0{1,9})?(?!\.?\d)|zero|none)?[^\n]{0,80})",
    re.IGNORECASE,
)
_OBSERVED = re.compile(
    r"\nObservation[ \d]{0,4}:[^\n]{0,200}\b(?:wrong|incorrect|not (?:correct|right)|false)\b", re.IGNORECASE
)
_TURN = re.compile(
    r"\n\W{0,4}(?:user|human|student):[^\n]{0,300}\n\W{0,4}(?:assistant|AI|bot|model|teacher):", re.IGNORECASE
)
_NEAR = 300
_WORDS_OF_QUESTION = 4
_NOT_WORD = re.compile(r"[\W_]+")


def retracted(text: str, answer: str, question: str) -> str:
    """Return why what follows the answer of a reply may be no other question but take the answer back, or ""."""
    echoed = prompt_before(text)
    if echoed and not _is_about(echoed, question):
        return "it answers another question"
    if "{" in text and _RECORDED.search(text, max(0, len(text) - _NEAR)):
        return "its record says that it is wrong"
    tail = made_up(text)
    label = _LABEL.match(tail)
    if label is None:
        return _at_its_end(answer_region(text)[1], answer)
    body = tail[label.end() :]
    following = next_question(body)
    body = body if following is None else body[:following]
    plain = plain_markup(body)
    mark = explicit(plain) or next(iter(phrases(plain)), None)
    answered = _ANSWER_LABEL.search(body)
    said = "" if answered is None else body[answered.end() :].split("\n", 1)[0]
    again = any(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", part) for part in (said, mark.content if mark else ""))
    if again and not _TAKES_BACK.search(said):
        return ""
    asked = (body if answered is None else body[: answered.start()]).strip()
    if mark is not None and _is_same(asked.split("\n", 1)[0], question):
        return "it answers its question once more, and otherwise"
    replied = _REPLIED.search(asked) is not None
    near = body[: _NEAR if answered is None else min(_NEAR, answered.end() + _NEAR // 5)]
    if (
        replied
        or _ABOUT_IT.match(body)
        or _TAKES_BACK.search(near)
        or re.match(rf"{re.escape(answer)}(?: or\b|\s?\?)", body)
    ):
        return "what follows may take it back"
    if len(asked) <= _NEAR and not _ASKS.search(asked if answered is not None else body):
        return "what follows asks nothing"
    if answered is not None:
        return ""
    in_line = mark is not None and "\n" not in plain[: mark.start].strip()
    return "another answer follows in the same breath" if in_line else ""


def _at_its_end(reply: str, answer: str) -> str:
    if _OPEN_END.search(reply):
        return "it ends before it answers"
    turn = _TURN.search(reply)
    if turn is not None and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", reply[turn.end() :]) is None:
        return "another turn follows, without it"
    if _OBSERVED.search(reply):
        return "it is observed to be wrong"
    sure = last_match(_CONFIDENCE, reply, max(0, len(reply) - _NEAR))
    return "it says that it is not sure" if sure is not None and (sure[2] or _TAKES_BACK.search(sure[1])) else ""


def _is_about(echoed: str, question: str) -> bool:
    """Whether half of the words of a prompt stand in the question, or half of the question's in the prompt."""
    words, own = (set(_NOT_WORD.sub(" ", text.casefold()).split()) for text in (echoed, question))
    return not own or 2 * len(words & own) >= min(len(words), len(own))


def _is_same(asked: str, question: str) -> bool:
    words, whole = (_NOT_WORD.sub(" ", text.casefold()).strip() for text in (asked, question))
    within = f" {words} " in f" {whole} " or f" {whole} " in f" {words} "
    return within and min(len(words.split()), len(whole.split())) >= _WORDS_OF_QUESTION
