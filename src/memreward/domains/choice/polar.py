"""Yes or no, told in words of the question: "Therefore, a whale cannot fly" answers "Can a whale fly?" with no."""

import re
from functools import lru_cache

from memreward.domains.choice.parse import CONCLUSION
from memreward.domains.shared.commitment import SENTENCE_END, said_by_others
from memreward.domains.shared.markers import explicit, phrases
from memreward.domains.shared.turns import last_question

_AUXILIARY = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)"
_QUESTION = re.compile(
    rf"(?:^|(?<=[.!?:\"]\s)|(?<=\n))(?:Q:\s|(?:in|on|at|for|during)\b[^,.?\n]{{1,60}},\s)?"
    rf"({_AUXILIARY}\s(?!you\b)[^?\n]{{3,300}})\?",
    re.IGNORECASE,
)
_OTHER = re.compile(r"\b(?:or|not|never|no|who|what|which|whose|when|where|how)\b|n['’]t\b", re.IGNORECASE)
# The reasons around what a sentence says: "Since it is cold, ...", "..., so ...", "..., as it is cold".
_REASON = re.compile(
    r"\A\W*(?:since|because|as|given|considering|while)\b[^,]{1,200},\s|\A.{1,200},\sso\s|,?\s(?:because|since|due to"
    r"|as (?:it|he|she|they|the|this|there|\w+ \w+ (?:is|was|are|were|did|do))\b).*",
    re.IGNORECASE,
)
# Words by which a sentence says neither, or something else, unless the question has them too.
_OPEN = re.compile(
    r"(?<!even )\bif\b|\b(?:whether|unless|while|although|though|however|but|may|might|could|perhaps|possibl[ey]"
    r"|unclear|potentially|unknown|clear|certain|uncertain|sure|evidence|enough|insufficient|depends?|difficult|hard"
    r"|definit\w+|determined?|inconclusive|subjective|only|some|few|rarely|partly|just|except|without|needs?|must|requir\w+"
    r"|instead|rather|myth|misconception|wrong|incorrect|doubt\w*|prevents?|fails?|refuse[sd]?|have to|skips?"
    r"|avoids?|lacks?|miss|absent|different|lie|nonsense|joke|kidding|hope|wish|pretend|imagine|suppose|wait|sorry)\b"
    r"|\AActually\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:'(?!s\b)[^\W_]+)?")
_NEGATION = re.compile(r"(?:not|cannot|never|neither|no|none|unlikely|impossible|unable|false|untrue|\w+n't)\Z")
_CONTRARY = {"tails": "heads", "lies": "truth"}
_SMALL = re.compile(
    rf"(?:{_AUXILIARY}|the|a|an|of|to|in|on|at|by|for|with|from|be|been|being|its?|that|this|these|those|there|he|she|they|s"
    r"|his|her|their|him|them|as|and|nor|any|still|now|currently|ever|actually|really|also|indeed|able|such|likely"
    r"|probably|very|highly|up|then|so|therefore|considered)\Z"
)
_ELLIPSIS = re.compile(
    rf"\W*(?:it|they|he|she|the \w+)\s(?:{_AUXILIARY}|can)(n['’]t|not|\s(?:be )?not)?\W*", re.IGNORECASE
)
_SENTENCES_READ = 3
_END_READ = 2000
_STEM = 5


def polar_answer(text: str, prompt: str) -> str | None:
    """Return "yes" or "no" where the mark or the end of a reply says so in words of the question; None elsewhere."""
    asked = _asked(prompt)
    if not asked:
        return None
    mark = explicit(text) or next(reversed(phrases(text)), None)
    marked = "" if mark is None else mark.content
    if (short := _ELLIPSIS.fullmatch(marked)) is not None:
        return "no" if short[1] else "yes"
    marked = SENTENCE_END.split(marked)[0].strip()
    said = _told(marked, asked)
    if said is None and _OPEN.search(marked):
        return None
    sentences = [one for one in map(str.strip, SENTENCE_END.split(text[-_END_READ:])) if one and one not in prompt]
    for back, sentence in enumerate(reversed(sentences[-_SENTENCES_READ:])):
        if said is None and (not back or CONCLUSION.match(sentence)):
            said = _told(sentence, asked)
        if said is None and _OPEN.search(sentence):
            break  # it may turn away from what stands before it
    return said or None


@lru_cache(maxsize=1024)
def _asked(prompt: str) -> list[str]:
    """The words of the last question of a prompt, if it is one that yes or no answers; [] for any other."""
    found = _QUESTION.findall(prompt[last_question(prompt) :])
    words = _words(found[-1]) if found and _OTHER.search(found[-1]) is None else []
    return [found[-1].split()[0].casefold(), *words] if len(words) > 1 else []


def _told(sentence: str, asked: list[str]) -> str | None:
    """What a sentence says of what is asked: yes with all its words, no with the last ones; "" if it says neither."""
    sentence = _REASON.sub("", sentence).replace("no longer", "not")
    words, (auxiliary, *wanted) = _words(sentence), asked
    known = [word for word in wanted if any(_same(word, other) for other in words)]
    if known[-1:] != wanted[-1:]:
        return None
    turned = {word for word in words if word not in wanted and _CONTRARY.get(word) in wanted}
    denied = [place for place, word in enumerate(words) if _NEGATION.match(word) or word in turned]
    asked_so = {word for word in wanted if _OPEN.fullmatch(word)}
    left_open = {word.casefold() for word in _OPEN.findall(sentence)}
    left_open -= {"could"} if denied or auxiliary in {"can", "could"} else set()
    if left_open - asked_so or asked_so - left_open - {"some"} or sentence[-1:] == "?":
        return ""
    if said_by_others(sentence[: sentence.casefold().find(known[0])]):
        return None
    left = iter(words)
    in_order = all(any(_same(word, other) for other in left) for word in wanted)
    if not denied or {"than", "before", "after"} & {*wanted}:
        return None if not in_order or len(denied) > 1 else "no" if denied else "yes"
    near = words[denied[0] + 1 :][:1]
    of_it = turned or not near or any(_same(word, near[0]) for word in wanted)
    return "no" if of_it and len(denied) == 1 and known[-2:] == wanted[-2:] else None


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold().replace("’", "'")) if _SMALL.match(word) is None]


def _same(word: str, other: str) -> bool:
    short, long = sorted((word, other), key=len)
    return word[:_STEM] == other[:_STEM] or (len(short) > 2 and long.startswith(short)) or _CONTRARY.get(other) == word
