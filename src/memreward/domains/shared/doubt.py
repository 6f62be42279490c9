"""Why a text may not stand by the answer that was read from it: how it speaks of it, and what it says right behind it.

What is found makes no answer wrong, it only keeps one that equals the reference from being called right.
"""

import re

from memreward.domains.shared.commitment import TURN

SENTENCE_END = re.compile(r"(?:(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)\.|[!?])(?=[\s\"')\]]|$)|\n", re.IGNORECASE)
_CROSS = r"[❌✗✘☒🚫👎🙅❎⛔\u0335-\u0338]"
_CROSSED_BEFORE = re.compile(rf"{_CROSS}\ufe0f?[\s$*_]{{0,4}}\Z")
# A comment, or a command of LaTeX that prints nothing or strikes out.
_HIDDEN = re.compile(
    r"(?:\\(?:[hv]?phantom|[bx]?cancel|sout|st)\s?\{|\\iffalse\b[^\n]*|\A\s*%[^\n]*|\[//\]: # [^\n]*)[\s${(]*\Z"
)
_OPENING = re.compile(r"(?:\\(?:f?box(?:ed)?|text)\s?\{\s{0,4}|<\w{1,20}>)+\Z")
_OF_OTHERS = re.compile(
    r"\b(previous|old|initial|first|original|earlier|former|second|second-best|trap|naive|intuitive|tempting|common|reference|expected|wrong|incorrect|false|bad|worst|opposite|"
    r"other|another|least [a-z]{4,15}|rejected|his|her|their|\w{1,20}['’]s)\s{1,3}"
    r"(?:guess|answer|result|solution|value|option|choice)"
    r"(?:\s(?:is|was|would be|of)|:)?[\s$*_:\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
_OF_ANSWER = re.compile(
    r"\b(?:of|than|times|plus|minus|before|after) (?:the|my|our) (?:correct |right |final )?(?:answer|result)"
    r" (?:is|was)[\s$*_:\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
# "The answer plus 3 is", "the sum of the answer and 3 is", "the answer's square is".
_OF_ANSWER_AND = re.compile(
    r"\banswer(?:['’]s\b|,? (?:plus|minus|times|and|with|without|squared|cubed|doubled|tripled|halved|"
    r"divided|multiplied|increased|decreased|reduced|less|more|over|mod|modulo|[-+*/^×÷]))[^.;\n]{0,30}"
    r"\s(?:is|was|equals|gives|makes|would be|=)[\s$*_:\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
_REJECTING = re.compile(
    r"\b(?:the (?:least|second|third)[ -][a-z]{4,15}|odd one out|runner-?up|backup|fallback|plan b)\b"
    r"(?: answer| choice| option)?\s?(?:is|was|would be|:)"
    r"[\s:*_(\[]{0,6}\Z",
    re.IGNORECASE,
)
# "I hope the answer is", "4, my foot": real replies hardly have any, and nobody gains by it.
_SUPPOSED = re.compile(
    r"\b(?:pretend|imagin|picture|(?<!I )assum|(?<!I )(?<!we )suppos|hop|wish|dream|doubt|deny|alleg|either)"
    r"[a-z]{0,4} (?:that )?(?:the|my|our|an?) (?:[\w-]{1,15} ){0,2}(?:answer|solution|result|choice|option)"
    r"(?:\s(?:is|was|would|must|should)\b|\s?[:=])",
    re.IGNORECASE,
)
_ON_CONDITION = re.compile(r"\A\W{0,4}unless\b[^.\n]{1,80},(?: then)? the answer is[\s$*_:\\(\[]{0,6}\Z", re.IGNORECASE)
_MOCKED = re.compile(
    r"[\s$*_)}\]\\\"”]{0,6}(?:,|\s?[–—]|\s-{1,2}\s)\s{0,2}"
    r"(?:(?:I|you) wish|as if|(?:just )?kidding|allegedly|supposedly|reportedly|or so (?:they|he|she|it|I)\b|"
    r"yeah,? (?:right|sure)|my (?:foot|ass|eye)|in (?:my|your) dreams|said no(?:body|\s?one)?|lol|psych|"
    r"rounded from)\b",
    re.IGNORECASE,
)
_BEFORE_BOX = re.compile(
    r"\b(?:(?:some|others|many|most|people|students|everyone|nobody) (?:\w{2,12} )?(?:say|get|think|claim|pick|choose)"
    r"|(?:do|does|did|must|should|can) ?(?:not|n['’]t)|don['’]t|"
    r"never|anything but|if (?:\w{1,20} ){1,2}(?:were|was|had)\b[^.;\n]{0,40})[ \w]{0,20}[\s$:,*\\(\[]{0,6}\Z",
    re.IGNORECASE,
)
_WHO = (
    r"(?:some|many|most|others|people|everyone|everybody|nobody|him|her|them|you|he|she|they|"
    r"(?-i:(?!The|This|It|That|Our|My|All|We|I\b)[A-Z][a-z]{1,20}))"
)
_SOMEBODY = rf"(?:(?:an?|my|your|every|any)(?: [a-z]{{2,15}}){{1,2}}|{_WHO})"
_ASCRIBED = re.compile(
    rf"\b(?:(?:according to|if (?:you|we) ask|ask|for) {_WHO}(?![\w'’])|{_SOMEBODY} (?:would|will|might|may) "
    r"(?:say|pick|choose|answer|think|claim|guess|vote|prefer|go|argue)"
    rf"|{_WHO}['’]s (?:opinion|view|pick|choice|vote|eyes)|{_SOMEBODY} (?:says?|said|picks|picked|chose|chooses|"
    r"thinks?|thought|claims?|claimed|votes|voted|answered|guessed|prefers)|(?:some|many|most|others|people|they|you) "
    r"(?:pick|choose|vote|prefer|guess))\b[^.;!?\n]{0,30}\Z",
    re.IGNORECASE,
)
_SAY = r"(?:(?:would |might |will )?(?:says?|said|thinks?|thought|claims?|claimed|insists?|insisted))"
_SAYER = rf"(?:{_WHO}|(?:the|an?|my|your|one|some)(?: [a-z]{{2,15}}){{1,2}}?)"
_ASCRIBED_AFTER = re.compile(
    rf"[\s,\"”'$)}}]{{0,5}}(?:{_SAY} {_SAYER}|according to {_SAYER}|as {_SAYER} {_SAY}|{_SAYER} {_SAY}|"
    rf"(?:[a-z]+ )?belongs? to {_WHO}|\({_WHO}['’]s(?=\))|"
    rf"for {_WHO}(?![\w'’])|in {_WHO}['’]s (?:opinion|view|eyes))\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Z][a-z]{1,20}")
_EXAMPLE = re.compile(
    r"\b(?:(?:e\.\s?g|cf|vs|for (?:example|instance)|such as)\b[.,]{0,2}|your (?:final )?answer (?:as|in|inside|like)"
    r"|use the format|example of [^.\n]{1,40}?(?: is|:))\s{0,3}[`$*_(\[\"']{0,4}(?:the answer is )?\Z",
    re.IGNORECASE,
)
_LETTER = r"[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""Thai, Japanese, Chinese and Korean put no space around a number."""
# A number behind bold stars is whole; one behind a power sign, or inside of a longer one, is not.
_INSIDE = re.compile(rf"(?:[.,^+/-]|{_LETTER}|(?<!\*)\*|(?<=[\w)}}])\*\*|(?<=[\w)}}] )\*\* )\Z")
_THE_ANSWER_IS = re.compile(r"(?:the|my|our) (?:[a-z]{2,10} )?answer(?: is|:)[\s$*_:\\(\[]{0,6}\Z", re.IGNORECASE)
_STEP = re.compile(
    r"\W{0,6}(?:step|reason|expla|note|part|analy|calcul|check|review|eval|summar|compar)", re.IGNORECASE
)
# One letter is a name in a formula, "N = 47".
_LABEL = re.compile(r"\A(?:<\w{1,20}>|\W){0,6}([A-Za-z](?!\s?[:=])[\w'’ .#-]{1,40}?)\s?[:=][\s$*_(\[\"'“]{0,6}\Z")
_LETTERS_APART = re.compile(r"(?<=\b[A-Z]) (?=[A-Z]\b)")  # as in "A B C = ", the area of a triangle ABC
_OWN_LABEL = re.compile(
    r"\b(?:action|(?<!second )(?:answer|option|choice)(?! (?:list|sheet|key|to avoid))|ans|antwort|respuesta|réponse|"
    r"risposta|resposta|letter|conclusion|conclude|therefore|thus|hence|so|solution|result|(?<!in)correct(?:ion|ed)?|"
    r"right|(?<!second )best|verdict|decision|select(?:ion|ed)?|response|reply|output|prediction|"
    r"my (?:pick|guess|vote)|based on|above|this|final(?:ly)?|is|be|are|diagnosis|summary|total|sum|no|wait|actually|"
    r"edit|update|sorry|oops|now|instead|(?:double-)?check|verify|verification)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"[\s.!?,;:\"')}$*\]…-]{1,9}(?:(?:lol|haha|well|oh|ha|um|hmm|right|correct|but)[,?!]{0,2}\s)?"
    r"(?:(?:no|nope|nah|not|not really|I lied|jk|wrong|false|never|or not|psych)(?=[\s*}\])$\"]{0,3}(?:[.!?,;:<]|\Z))|"
    r"(?:isn['’]t it\?\s)?(?:it|that|this) (?:isn['’]t|is not|wasn['’]t)[.!])"
    r"|[\s,;.…)]{0,6}(?:不对|错了|不是)|[\s,;.…)]{1,6}(?:or )?(?:maybe|perhaps) not\b"
    r"|[\s,;.…)]{1,6}(?:or (?:neither|not|all|any|something|anything|else|other)\b|(?:or )?(?:none|nothing)\b)",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    rf"(?:[\s$)}}\]*_.,!?]|</?\w{{1,20}}>){{0,12}}(?:{_CROSS}|\(?\b(?:false|wrong|incorrect|rejected|refused)\b"
    r"|\((?:not\)|not really|opposite|jok|kidding|just kid|sarcas|iron|lol)"
    r"|(?:was|is|got|has been) (?:rejected|refused|discarded|ruled out|off by|(?:my|our|the|a|an) (?:first|initial|"
    r"previous|old|earlier|original|wrong|incorrect)\b|what (?:an?|most|many|some|other|people|you|they|he|she)\b))",
    re.IGNORECASE,
)
_ASKED_AND_DENIED = re.compile(
    r"[^.!?\n]{0,60}\?[\s\"'”’)}*$\]]{1,4}(?:no|nope|nah|wrong|false|never|hardly|of course not)\b", re.IGNORECASE
)
_MARKED = re.compile(r"\\f?box|####|<answer>|\b(?:answer|option|choice)\b", re.IGNORECASE)
_ALTERNATIVE = re.compile(
    r"(?:\b(?:or|else|alternatively|otherwise(?!\.)|failing that|maybe|perhaps|possibly|even|also)"
    r"|\bif\b[^.\n]{0,40}(?<! is)(?<! be)[,:](?!\s(?:is|would be)\b))"
    r"(?:\W|\b(?:f?boxed|fbox|the|final|answer|option|choice|is|it)\b){0,16}\Z",
    re.IGNORECASE,
)
_FALLBACK = re.compile(
    r"\b(?i:if (?:not|wrong|incorrect|(?:that|this|it)(?:['’]s| is) (?:wrong|not|incorrect|false))|failing that|"
    r"or else|(?<=[;,.] )else|otherwise)[^.\n]{0,40}(?:\b[A-HJ-Z]\b|\d)"
)
_STEM = 6
NEAR = 300
"""Characters around an answer that are looked at."""


def last_place(text: str, answer: str) -> int:
    """Return where an answer stands last, not inside of a longer word or number; -1 for nowhere."""
    place = text.rfind(answer)
    while place >= 0 and (
        (answer[0].isalnum() and _INSIDE.search(text, max(0, place - 4), place))
        or (answer[-1].isalnum() and re.match(rf"{_LETTER}|[.,]\d", text[place + len(answer) :][:2]))
    ):
        place = text.rfind(answer, 0, place)
    return place


def around(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before an answer in its sentence, without an opening box or tag, and what follows it."""
    # A sign that touches the answer, "!A", ends no sentence.
    before = SENTENCE_END.split(text[max(0, start - NEAR) : start] + "\0")[-1].removesuffix("\0")
    return _OPENING.sub("", before), text[end : end + NEAR]


def alternative(text: str, start: int) -> str:
    """Return whether an answer is one of two, "31. If that is wrong, 47": why, or ""."""
    if _FALLBACK.search(text, start, start + NEAR):
        return "it names another in case it is wrong"
    found = _ALTERNATIVE.search(text, max(0, start - NEAR), start)
    return "" if found is None or not _MARKED.search(text, 0, found.start()) else "an answer stands before it"


def refused(before: str, answer: str, after: str) -> str:
    """Return whether an answer is crossed out, or refused right behind it: why, or ""."""
    if len(answer) > 2 and answer[0] == answer[-1] == "~":
        return "it is struck out"
    if (
        _CROSSED_BEFORE.search(before)
        or _HIDDEN.search(before)
        or any(said.match(after) for said in (_REFUSED, _NO, _ASKED_AND_DENIED))
    ):
        return "it is crossed out or refused"
    return ""


def said_aside(before: str, after: str) -> str:
    """Return whether an answer is but spoken of, "pretend the answer is 4", or mocked, "4, my foot": why, or ""."""
    supposed = _SUPPOSED.search(TURN.split(before)[-1])
    if supposed is not None:
        return f"{supposed[0]!r} stands before it"
    if _ON_CONDITION.search(before):
        return "it is the answer on a condition"
    mocked = _MOCKED.match(after)
    return "" if mocked is None else f"{mocked[0].strip()!r} follows it"


def of_others(before: str, after: str, question: str) -> str:
    """Return whether an answer is somebody else's, an earlier one, an example, or not to be given: why, or ""."""
    named = _OF_OTHERS.search(before)
    if named is not None and named[1].lower() not in question.lower():
        return f"it is called the {named[1]} answer"
    rejecting = _REJECTING.search(before)
    if (
        _OF_ANSWER.search(before)
        or _OF_ANSWER_AND.search(before)
        or ((denied := _BEFORE_BOX.search(before)) and not ("not" in denied[0] and re.search(r"\bnot\b", question)))
        or _EXAMPLE.search(before)
    ):
        return "it is an answer that is not given"
    if rejecting is not None and not re.search(r"\b(?:not|least|except|odd)\b", question, re.IGNORECASE):
        return "it is what is rejected"
    for said in (_ASCRIBED.search(TURN.split(before)[-1]), _ASCRIBED_AFTER.match(after)):
        # Not what the question says too: a name, or "for others".
        if said is not None and not any(
            name in question for name in (*_NAME.findall(said[0]), " ".join(said[0].lower().split()[:2]))
        ):
            return "it is what others say"
    bare = _THE_ANSWER_IS.sub("", before)
    label = _LABEL.match(_LETTERS_APART.sub("", bare)) if bare == before or _STEP.match(bare) is None else None
    if (
        label is not None
        and "_" not in label[1]
        and not _OWN_LABEL.search(label[1])
        and not re.search(rf"\b{re.escape(label[1][:_STEM])}", question, re.IGNORECASE)
    ):
        return f"it stands under {label[1]!r}"
    return ""
