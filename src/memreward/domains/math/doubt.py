"""Why a reply may not stand by its answer in mathematics, but for words of the question; see `shared.doubt`."""

import re

from memreward.domains.math.magnitudes import is_magnitude
from memreward.domains.math.quantity import TEXT_COMMAND, mentioned_units, quantity
from memreward.domains.math.subjects import CLAUSE
from memreward.domains.math.wanted import wanted
from memreward.domains.shared.commitment import SET_AGAINST
from memreward.domains.shared.doubt import (
    NEAR,
    SENTENCE_END,
    alternative,
    around,
    last_place,
    of_others,
    refused,
    said_aside,
)
from memreward.domains.shared.markers import phrases, without_calculator, without_code

_CODE = re.compile(r"```|^\s{0,8}(?:import|from|def)\s", re.MULTILINE)
# In the sentence of an answer that nothing marks.
_UNSURE = re.compile(
    r"(?<!\\)\b(?:if\b(?![^\n]*\bthen\b)|whether|unless|suppos(?:e|ing)|assuming|once|not|never|no longer|contrary|"
    r"lies(?! in| on)|doubt\w{0,3}|unclear|unsure|unlikely|wrong|false|incorrect|impossible|(?-i:may)|might|could|"
    r"maybe|perhaps|possibly|wish\w{0,2}|hop(?:es?|efully)|dreams?|like to have|have had|should have been|used to|"
    r"twice|half of|lacks?|lost all|"
    r"random|guess\w{0,3}|at (?:the )?(?:least|most)|up to|as (?:many|few|much) as|(?:more|less|fewer|greater|bigger|"
    r"smaller|other) than|or (?:later|earlier)|(?:or|and) (?:more|fewer|less|so)|over(?! the)|under|above|below|"
    r"nearly|almost|between|within|off by|minimum|maximum|(?:upper|lower) bound|average|mean|median|another|other|"
    r"first|previous|step|equation|page|line|question|confidence|let|digits?|hint|label|"
    r"(?<!problem )(?<!question )(?<!I )(?:says?|thinks?|claims?)|(?:people|some|others|many|everyone|nobody) get|"
    r"needs? \S{1,20} more|(?:answer|number|result|value) (?:looks like|comes (?:after|before)|follows|precedes|"
    r"begins|starts|ends|contains|rhymes)|(?:all|anything|everything|nothing) (?:but|except)|no es|pas|não|non è|niet|"
    r"nicht|nem|nije|inte|ikke|nie|není|nu este|bukan|ei ole|không|değil)\b|n['’]t\b|不是|ではありま|아닙니다|ليس",
    re.IGNORECASE,
)
_LIMITED = re.compile(
    r"[\s$*_)}\]\\]{0,6}(?:and (?:a|one|three) (?:half|third|quarters?)|and (?:change|some|a (?:bit|little))|"
    r"times (?:what|as)|doubled|tripled|halved|if|unless|[+]|(?:[a-z]+ ){0,2}(?:short|too \w+|more|less|fewer|off)|"
    r"(?:greater|smaller) than)(?!\w)"
    r"|[\s$*_)}\]\\]{0,6}(?:\(|, ?)"
    r"(?:if|unless|minus|plus|doubled|tripled|halved|squared|divided by|times|less \d+)(?!\w)"
    r"|[\s$*_)}\]\\]{0,6},?\s(?:plus|pending|as of (?:last|yesterday))(?!\w)|[\s$}]{0,4}[<>]\s?[a-z]\b"
    r"|[\s$*_)}\]\\.,]{0,6}(?:[a-z]+[ ,]{1,2})?(?:give or take|or thereabouts|plus or minus|or so)\b"
    r"|[\s$*_)}\]\\.,]{0,6}\b(?:or|maybe|perhaps) (?:not|it|is|maybe|perhaps|more|less|fewer)\b"
    r"|\s\(?[1-4]?\d\s?%\s(?:confiden|sure|certain|chance|likely|prob)[a-z]*"
    r"|(?:\s[a-z]+)? (?:before|until|till)(?!\w)"
    r"|\$\s?\\?\$?\s?\\(?:times|cdot|div|pm)\b|\s[a-z]+ and [a-z]+s[.\s]*\Z",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\b(?:wait|hold on|hang on|hmm+|oops|psych|(?:just )?(?:kidding|joking)|scratch that|recompute|recalculate|"
    r"corrected|the (?:first|former) (?:one|answer) (?:is|was) (?:right|correct)|"
    r"(?:that|this|it|which)(?:['’]s|\s(?:is|was|isn['’]t|wasn['’]t))\s(?:\w{1,10}\s)?"
    r"(?:wrong|incorrect|false|not (?:right|correct|true)))\b"
    r"|\b(?:edit|correction):|(?:^|[.!?\n,]\s{0,3})(?:no|nope)\b[,.:;]",
    re.IGNORECASE,
)
_ANOTHER = re.compile(
    r"\b(?:(?:(?:real|true|actual|correct|right|final|new|corrected|better)\s{1,3}(?:answer|value|result|number|one)"
    r"(?:\s(?:is|was)|\s?[:=])|but|however|actually|rather|instead|now|I['’]d say|I say)[^.\n]{0,60}?)"
    r"(-?\d[\d.,/]{0,30})",
    re.IGNORECASE,
)
_RIVAL = re.compile(
    r"[^\w%/=<>^\\]{1,8}(?:(?:or|also|and|no|nope|sorry|alternatively|alt|resp|maybe|perhaps|possibly|it['’]?s|it is|"
    r"that is|ps|update|final|therefore|so|hence|thus|just checking|I (?:choose|pick|say|mean))\b[\s,.:;]{0,3}){0,4}"
    r"(-?\$?\d[\d.,/]{0,30})(?=\W{0,3}\Z|\s(?:is|was) (?:the answer|right|correct)\b)",
    re.IGNORECASE,
)
# "47, nein, 31": no, or, or rather in other languages.
_RIVAL_ABROAD = re.compile(
    r"[^\w\n%/=<>^\\]{1,8}(?:(?:nein|non|não|nee|nej|нет|или|oder|ou|anzi|sino|melhor|plutôt|dicho|mejor|eller|lub|czy)"
    r"\b[\s,.:;]{0,3}|(?:不对|不是|不|错|而是|应该是|或者?|还是|또는|是)[\s,、。]{0,2}){1,4}"
    r"(?:es |ist |è |é |c'est )?(-?\d[\d.,]{0,30})",
    re.IGNORECASE,
)
_NOT_GIVEN = re.compile(r"(?:\A|\s)[Nn]ot\s{1,3}[$*_\\(\[]{0,4}\Z")
_ASKED_AFTER = re.compile(
    r"(?:[}$*_)\s]|\\\)|</answer>){0,9}\?(?!\W{0,4}(?:yes|correct|right|indeed)\b)", re.IGNORECASE
)
_ASKED_IN_SENTENCE = re.compile(r"[^.!?\n]{0,60}\?")
_DENIED = re.compile(
    r"[^\n]{0,30}?(?:(?<!\w)(?:неверно|неправильно|ошибка|falsch|faux|incorrecto|sbagliato)\b|(?<!\w)(?:нет|nein)\s?[,.]"
    r"|不对|不正确|错[误了的]|以[上下内外]|左右|아니|아닙|ではない|ではありません|じゃない|नहीं|ไม่ใช่)|\s?%\s?[\u0400-\u04ff]|(?:\s[a-z]{2,20}){0,2}\s?[—–-]{1,3}\s?(?:wrong|incorrect|false)\b",
    re.IGNORECASE,
)
# Not, at least, about: what stands before a number in other languages.
_NOT_IT_ABROAD = re.compile(
    r"((?<!\w)(?:не|ليس|почти|около|примерно)(?!\w)|नहीं|ไม่|不是|并非|不等于|约|超过|至少|最多|不到|[多少]于|几乎|接近"
    r"|可能|也许|大概|如果|假如|假设)(?:[他她它]|是|会?有|ใช่)*\W{0,3}(?:\w{1,10}\W{1,3})?\Z",
    re.IGNORECASE,
)
_PART_ABROAD = re.compile(
    r"(?<!\w)(?:половина|треть|четверть|hälfte von|moitié de|mitad de|metà di)\s\Z", re.IGNORECASE
)
# "2m = 1/2", "m^2 = 1/2", "\\sin m = 1/2" where m is asked for.
_OF_UNKNOWN = re.compile(
    r"[$\s]*((?:\d[\d.]*\s?\\?[a-z]|[a-z]\s?(?:\^|/|[-+*])\s?\{?\d+\}?|-\s?[a-z]|\d+\s?[-+]\s?[a-z]"
    r"|\\?(?:sin|cos|tan|log|ln|exp|sqrt)\s?[({]?[a-z][)}]?))\s?=(?:\\[a-z]+|[^=a-z\\])+",
    re.IGNORECASE,
)
_BASED = re.compile(r"\bin (?:base|hex\w*|octal|binary)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"\bhow many (?:more |other |of the |of )?((?:[a-z-]{2,} ){0,2}[a-z-]{2,})", re.IGNORECASE)
_COUNTED = re.compile(
    r"\d[\s}$*]{0,4}(?:\\text\s?\{)?\s?(?:(°|\^\s?\{?\s?\\circ)|(?!(?:in|of|and|or|is|are|was|were|left|more|per|at|"
    r"on|for|to|from|with|by|as|each|total|remain\w*|altogether|after|before|because|since|times?|when|if|so|who|that|"
    r"which|but|not|out|mod|over|plus|minus|percent|units?|pieces?|items?|people|persons?|ways?|different|possible|"
    r"distinct|such|would|can|will|could|do|does|did|have|has|had)\b)([a-z]{2,}))"
)
_COMPOUND = re.compile(r"\s[a-z]{3,}s\b")
_PRIMED = re.compile(r"\d[}$]{0,3}(?:['′″]|\"(?!\w))")
_PREFIXED = re.compile(r"\b(?:kilo|mega|giga|tera|milli|micro|nano|centi|deci)([a-z]{3,})")
_SUBJECT = re.compile(
    r"\A\W{0,4}(?:(?:and|but|while|whereas|so)\s)?(?!(?i:it|we|there|total|so|this|that|each|everyone|both|you|all|thus|hence|"
    r"then|now|since|also|still|only|just|which|who)\b)"
    r"(?:(?:The|(?:An?|My|Your)(?: [a-z]{2,15})?|[A-Z][a-z]{1,20}['’]s) )?"
    r"([A-Z]?[a-z]{1,20}) (?:and [A-Z][a-z]{1,20} )?"
    r"(?:has|have|had|gets?|got|owns?|needs?|buys?|bought|sells?|sold|eats?|ate)\b"
)
_PRONOUNS = frozenset({"he", "she", "they"})
_ABOUT = re.compile(
    r"(?:~|≈|\\approx|\\sim|\b(?:about|around|approx\w*|roughly|circa|close to|near|neighbou?rhood of))"
    r"[\s$*_~({]{0,4}-?\d[\d.,]*\Z",
    re.IGNORECASE,
)
_ROUGH = re.compile(r"\b(?:about|approx\w*|round\w*|nearest|estimat\w*|roughly|average|mean|expected)\b", re.IGNORECASE)
_CHECKS = re.compile(r"\b(?:check|verify|confirm|verification)\b", re.IGNORECASE)
_SHARE = re.compile(
    r"\s(?:[a-z]+ )?(?:(?:per|(?:in )?each|every) (?!cent\b)(?:of )?(?:\d+ )?([a-z]+)"
    r"|(each|apiece)(?=\W{0,4}(?:[.,;]|\Z)))"
)
_ASKS_SHARE = re.compile(
    r"\b(?:each|every|per|apiece|one|equal\w*|shar\w*|split\w*|divid\w*|average|price|costs?|rate)\b", re.IGNORECASE
)
_PERCENT = re.compile(r"\s?(?:\\?%|per ?cent|basis points?)")
_UNIT = re.compile(r"\s?(?!in\s)[a-zA-Z¢]+\b")
# What touches a number that nothing marks, and makes it another.
_JOINED_BEFORE = re.compile(
    r"(?:[−–+×*/^√≥≤≠±∞·⋅÷_](?<!\A[−–+*])(?<!\*\*)(?<!__)|\S\s-\s?|(?<!#)#(?!\s)"
    r"|\\(?:sqrt|[dt]?frac|pm|mp|neq?|ge|le|geq|leq|gt|lt|ln|log|overline|times|cdot|div|sin|cos|tan)(?![a-zA-Z])"
    r"\s?(?:\{[^{}]{0,30}\})?|\b(?:minus|negative|plus|times|log|ln|no\.|\d{1,9} or))\s?[{(]?\s?\Z",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[})]?(?:\s?\\(?:pi|times|cdot|div|pm|cdots?)\b|[∞‰⁻°⁰-⁹²³¹₀-₉^]|_\{?\d|!(?=!|\s?[a-z])|-[a-z])|\s[bcdx-z]\b"
)
_COMPARED = re.compile(r"\s?(?:[<≠√]|(?<![=-])>|!=)")
_COMPARED_BEFORE = re.compile(_COMPARED.pattern + r"\s?\Z")
_GONE = re.compile(r"\b(?:wants?|needs?|los[te]s?|ate|eats?|sold|sells?|gave(?: away)?)\W{1,3}\Z", re.IGNORECASE)
_KEPT = re.compile(r"\b(?:have|has|left|remain\w*|keeps?)\b[^?]{0,40}\?", re.IGNORECASE)
_SHORT = 100
_LONGEST_WORD = 30
_STEM = 3
_WORD = re.compile(r"[a-z]+")


def math_doubt(text: str, answer: str, question: str, *, marked: bool) -> str:
    """Return why a reply may not stand by an answer, perhaps `marked` as such, or ""; the last place decides.

    A number in a sentence behind a mark, "Answer: Tom may have 47", is doubted for the same words as without the mark.
    """
    text = without_calculator(without_code(text))
    boxed = text.rfind(f"{{{answer}}}") + 1 if marked else 0
    place = boxed or last_place(text, answer)
    if place < 0:
        return "" if marked or not _HOW_MANY.search(question) else "it is a part of something longer"
    before, after = around(text, place, place + len(answer))
    found = refused(before, answer, after) or _goes_on(before, answer, after, question)
    unknown = _OF_UNKNOWN.fullmatch(answer)
    if unknown is not None and "".join(unknown[1].split()) not in "".join(question.split()):
        return f"it is what {unknown[1].strip()} is"
    found = found or of_others(before, after, question) or said_aside(before, after)
    if marked and ((_NOT_GIVEN.search(before) and "not" not in question) or _ASKED_AFTER.match(after)):
        return "it is asked or denied"
    if (not_it := _NOT_IT_ABROAD.search(before)) and not_it[1] not in question:
        return "it is denied, or about that many"
    if _PART_ABROAD.search(before):
        return "it is the whole of which a part is meant"
    in_sentence = marked and _in_sentence(text, place)
    if in_sentence and _ASKED_IN_SENTENCE.match(after):
        return "it is asked or denied"
    if not found and (not marked or in_sentence):
        sentence = SET_AGAINST.sub("", before + answer + SENTENCE_END.split(after)[0])
        found = "it is about that many" if _ABOUT.search(before + answer) and _exact(question) else ""
        found = found or _of_more(before, after, question) or _unsure(sentence, question)
        found = found or _of_another(before + answer, question)
    return found or _contested(after, answer) or alternative(text, place)


def _in_sentence(text: str, place: int) -> bool:
    """Whether words of its own sentence stand between "Answer:" and an answer."""
    said = [text[mark.end : place].strip().lower() for mark in phrases(text[:place] + "\0") if mark.end <= place]
    if not said or said[-1].startswith("not ") or SENTENCE_END.search(said[-1]):
        return False
    return len(_WORD.findall(said[-1])) > 1


def _goes_on(before: str, answer: str, after: str, question: str) -> str:
    """Whether the answer is but a part of what is said, or counts something else."""
    based = _BASED.search(before) or _BASED.search(SENTENCE_END.split(after)[0])
    if based is not None and not _asked(based[0], question):
        return f"it is {based[0].strip()}"
    thing = _counted(answer, after, question) or _foreign_unit(answer, after, question)
    if thing:
        return f"it counts {thing}"
    if _PRIMED.search(answer + after[:4], max(0, len(answer) - 4)) and not before.count('"') % 2:
        return "" if any(kind == "length" for kind, _ in mentioned_units(question)) else "it has a prime"
    unit = _UNIT.match(after)
    if other := _other_unit(TEXT_COMMAND.sub(r" \1 ", answer) + (unit[0] if unit else ""), after, question):
        return other
    limited = _LIMITED.match(after)
    return "it goes on behind it" if limited is not None and not _asked(limited[0], question) else ""


def _counted(answer: str, after: str, question: str) -> str:
    """What an answer to "how many apples" counts, where it is neither apples nor a word of the question; or ""."""
    asked = _HOW_MANY.search(question)
    found = _COUNTED.search(answer + SENTENCE_END.split(after)[0][: 2 * _LONGEST_WORD])
    if asked is None or found is None or found.start() >= len(answer) or any(mentioned_units(asked[1])):
        return ""
    thing = "degree" if found[1] else str(found[2])
    # "47 apple trees" are no apples.
    more = _COMPOUND.match((answer + after)[found.end() :])
    if more and re.search(rf"\b{thing}e?s\b", question) and not re.search(rf"\b{thing}\b", question):
        return f"{thing}{more[0]}"
    among = _asked(asked[1].split()[0], after) and f"{thing} of" not in after
    known = thing.rstrip("s") in question.lower() or among
    return "" if known else thing


def _foreign_unit(answer: str, after: str, question: str) -> str:
    """The unit of an answer, "5 leagues", which is none of those that the question asks for or names; or ""."""
    asked = wanted(question).counted
    found = _COUNTED.search(TEXT_COMMAND.sub(r" \1 ", answer) + SENTENCE_END.split(after)[0][: 2 * _LONGEST_WORD])
    if asked is None or found is None or found[2] is None:
        return ""
    word, kind = str(found[2]), quantity(f"1 {found[2]}").dimension
    return "" if kind == asked[0] or _asked(word.rstrip("s"), question) else word


def _other_unit(answer: str, after: str, question: str) -> str:
    """Whether an answer itself names a unit that changes its value: "47 per week", "47 m" or "47 kilotons"."""
    prefixed, kind = _PREFIXED.search(answer), quantity(answer).dimension
    share = _SHARE.search(answer) or _SHARE.match(after)
    counted = wanted(question).counted
    if (
        counted is not None
        and counted[0] == "length"
        and kind.startswith("length/")
        and not wanted(question).has(quantity(answer))
    ):
        return f"it is in a unit of {kind}"
    if prefixed is not None and _asked(prefixed[1], question) and not _asked(prefixed[0], question):
        return f"it is in {prefixed[0]}"
    asked = _HOW_MANY.search(question)
    if asked is None or any(mentioned_units(asked[0])):
        return ""
    if share is not None and not _asked_of_each(share, question):
        return f"it is that of each {share[1] or 'one'}"
    known = kind in ("", "percent", "dollars", "angle") or any(kind == asked for asked, _ in mentioned_units(question))
    return "" if known else f"it is in a unit of {kind}"


def _of_more(before: str, after: str, question: str) -> str:
    """Whether a number that nothing marks is scaled, compared, or that of what is gone: "47 dozen", "he lost 47"."""
    if _JOINED_BEFORE.search(before) or _JOINED.match(after):
        return "it is a part of a formula"
    unit = _UNIT.match(after)
    if unit and wanted(question).other_unit(quantity(f"1 {unit[0].strip()}")) is not None:
        return f"it is in {unit[0].strip()}"
    share, gone = _SHARE.match(after), _GONE.search(before)
    percent = _PERCENT.match(after)
    if (percent and not (wanted(question).percentage and "point" not in percent[0])) or (
        is_magnitude(after) and not _asked(after.split()[0], question)
    ):
        return "it is scaled"
    if share is not None and not _asked_of_each(share, question):
        return f"it is that of each {share[1] or 'one'}"
    if _COMPARED.match(after) or (_COMPARED_BEFORE.search(before) and before.strip() != ">"):
        return "it is compared"
    return "it is said of what is gone" if gone and _KEPT.search(question) and not _asked(gone[0], question) else ""


def _unsure(sentence: str, question: str) -> str:
    found = next((found[0] for found in _UNSURE.finditer(sentence) if not _asked(found[0], question)), "")
    if found:
        return f"{found!r} stands beside a number that nothing marks"
    return ""


def _of_another(said: str, question: str) -> str:
    """Whether the clause that ends in the answer speaks of somebody who is not asked about: "he has 31, she has 47"."""
    subjects = [found[1].lower() for clause in CLAUSE.split(said) if (found := _SUBJECT.match(clause))]
    if not subjects or _asked(subjects[-1], question):
        return ""
    named = subjects[-1] not in _PRONOUNS
    rival = _PRONOUNS.intersection(subjects) - {subjects[-1]}
    return f"it is said of {subjects[-1]!r}" if named or rival else ""


def _asked_of_each(share: re.Match[str], question: str) -> bool:
    return _asked(share[1], question) if share[1] else _ASKS_SHARE.search(question) is not None


def _exact(question: str) -> bool:
    asked = _HOW_MANY.search(question)
    return asked is not None and not any(mentioned_units(asked[1])) and _ROUGH.search(question) is None


def _asked(words: str, question: str) -> bool:
    """Whether the question uses the same words, up to the number inside."""
    used = _WORD.findall(words.lower())
    ends = {word: r"\b" if len(word) < _STEM else "" for word in used}
    return bool(used) and all(re.search(rf"\b{word}{ends[word]}", question, re.IGNORECASE) for word in used)


def _contested(after: str, answer: str) -> str:
    code = _CODE.search(after)
    after = after if code is None else after[: code.start()]
    turn = _TURNS.search(after)
    if turn is not None:
        return f"{turn[0].strip()!r} follows it"
    for another in (_ANOTHER.search(after, 0, NEAR // 2), _RIVAL.match(after), _RIVAL_ABROAD.match(after)):
        if another is not None and another[1].strip("$.,") != answer.strip("$ "):
            return f"{another[0].strip()!r} follows it"
    checked = len(after) < _SHORT and "=" in after and _CHECKS.search(after) is not None
    if _DENIED.match(after):
        return "it is denied"
    return "what follows checks something else" if checked and last_place(after, answer) < 0 else ""
