"""Signals of multiple choice: the options of a question beside each other, and what the rollouts say of them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memreward.domains import rules_of
from memreward.domains.choice.parse import normal_text, options
from memreward.domains.math.arithmetic import numbers
from memreward.features.evidence.parts import CACHED_TEXTS
from memreward.features.evidence.pools import Column, Pools, ratio
from memreward.features.evidence.results import option_reached, size_of
from memreward.types import Rollout

OPTION_SIGNALS = (
    "option_outlying",
    "option_from_question",
    "option_alike",
    "option_of_options",
    "option_words",
    "option_verdict_others",
    "option_verdict_rivals",
    "option_result_votes",
)

PASSAGE = 200
"""Characters after a mention of an option that may say something of it, where no other mention comes before."""

_MOST_MENTIONS = 200
_STRONGEST = 2.0
_LONGEST_NAME, _SHORTEST_NAME = 80, 4
_LETTERS_BESIDE_A_NUMBER = 12
_FIGURES = re.compile(r"-?\d[\d,]*\.?\d*")
_OF_OPTIONS = re.compile(r"\b(?:all|none|both|neither)\b.*\b(?:above|these|of)\b|^(?:all|none|both)\b", re.IGNORECASE)
_AGAINST = re.compile(
    r"\b(?:not|isn't|doesn't|incorrect|wrong|unlikely|eliminat\w*|rule[sd]? out|false|irrelevant|less|however|but"
    r"|although|neither|no)\b",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"\b(?:correct|likely|best|fits?|therefore|thus|so|hence|suitable|appropriate|makes sense|matches|consistent|true"
    r"|right)\b",
    re.IGNORECASE,
)
_FILLERS = re.compile(
    r"\b(?:the|a|an|of|to|in|is|are|be|and|or|for|on|with|as|by|at|it|that|this|from|was|were|which|what|not|has|have|had"
    r"|will|would|can|may)\b"
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Options:
    """The k options of a question, compared with each other and with the question; columns of k.

    Attributes:
        index: Option -> its column.
        outlying: How far an option is from the middle in order of size, in [0, .5]; NaN where not all are numbers.
        from_question: Share of its words that the question has, less the options' mean.
        alike: Mean similarity (Jaccard, runs of three letters) to the other options, less the options' mean.
        of_options: 1 where it speaks of other options ("all of the above").
        words: Its words, each with its weight: those of few options tell more.
        mention: Finds an option in a rollout, by its letter (first group) or its text (second group).
        named: Letter, or text in small letters -> column.
        sizes: Its first number; NaN for one without.
    """

    index: Mapping[str, int]
    outlying: Column
    from_question: Column
    alike: Column
    of_options: Column
    words: Sequence[Mapping[str, float]]
    mention: re.Pattern[str]
    named: Mapping[str, int]
    sizes: tuple[float, ...]


def option_signals(pools: Pools) -> dict[str, Column]:
    """Signals of domain qa; NaN elsewhere, without options, and for a rollout that chose none of them."""
    found = {name: np.full(len(pools.group), np.nan) for name in OPTION_SIGNALS}
    for rows in pools.rows:
        query = pools.rollouts[rows[0]].query
        known = options_of(query.text) if rules_of(query.domain).lettered else None
        if known is not None:
            chosen = np.array([known.index.get(pools.rollouts[i].answer or "", -1) for i in rows])
            columns = _of_pool([pools.rollouts[i] for i in rows], known, chosen)
            for name, column in columns.items():
                found[name][rows] = np.where(chosen >= 0, column, np.nan)
    return found


@lru_cache(maxsize=CACHED_TEXTS)
def options_of(question: str) -> Options | None:
    """Compare the options of a question; None where it has none, or one."""
    given = options(question)
    texts = list(given.values())
    if len(texts) < 2:
        return None
    held = [frozenset(_words(text)) for text in texts]
    count = Counter(word for words in held for word in words)
    asked = Counter(_words(question)) - Counter(word for text in texts for word in _words(text))
    shared = np.array([len(words & asked.keys()) / max(len(words), 1) for words in held])
    letters = [_letters(text) for text in texts]
    alike = np.array(
        [np.mean([_jaccard(a, b) for j, b in enumerate(letters) if j != i]) for i, a in enumerate(letters)]
    )
    return Options(
        index={key: i for i, key in enumerate(given)},
        outlying=_outlying(texts),
        from_question=shared - shared.mean(),
        alike=alike - alike.mean(),
        of_options=np.array([float(_OF_OPTIONS.search(text) is not None) for text in texts]),
        words=[{word: float(np.log((len(texts) + 1) / count[word])) for word in words} for words in held],
        mention=_mention(given),
        named={name: i for i, pair in reversed(list(enumerate(given.items()))) for name in (_name(pair[1]), pair[0])},
        sizes=tuple(map(size_of, texts)),
    )


def _of_pool(rollouts: Sequence[Rollout], known: Options, chosen: Column) -> dict[str, Column]:
    """Columns of the m rollouts of one question."""
    verdict, words = map(np.stack, zip(*(_said(each.text, each.query.text) for each in rollouts), strict=True))
    own = np.arange(len(known.index))[None, :] == chosen[:, None]
    of_words = words.mean(axis=0)
    rival = (chosen[:, None] != chosen[None, :]).astype(np.float64)
    reached = np.stack([option_reached(each.thinking, known.sizes) for each in rollouts])
    return {
        "option_outlying": known.outlying[chosen],
        "option_from_question": known.from_question[chosen],
        "option_alike": known.alike[chosen],
        "option_of_options": known.of_options[chosen],
        "option_words": (of_words - of_words.mean())[chosen],
        "option_verdict_others": _mean(verdict, np.where(own, 0.0, 1.0)),
        "option_verdict_rivals": _mean(verdict.T[chosen], rival),
        "option_result_votes": _mean(reached.T[chosen], np.ones_like(rival)),
    }


def _mean(values: Column, weight: Column) -> Column:
    """Row by row the weighted mean of the values that are there; NaN where there is none."""
    counted = weight * np.isfinite(values)
    return ratio((np.nan_to_num(values) * counted).sum(axis=1), counted.sum(axis=1))


@lru_cache(maxsize=CACHED_TEXTS)
def _said(text: str, question: str) -> tuple[Column, Column]:
    """What a text says of each of the k options of its question, and how much of each it has.

    (k,) words for it less words against it, mean over its mentions, NaN where it is not named; (k,) weighted share of
    its words that the text has, 0 for one without words.
    """
    known = options_of(question)
    assert known is not None
    told: list[list[int]] = [[] for _ in known.index]
    for column, passage in _mentions(text, known):
        told[column].append(len(_FOR.findall(passage)) - len(_AGAINST.findall(passage)))
    verdict = np.array([np.mean(each) if each else np.nan for each in told], dtype=np.float64)
    held = frozenset(_words(text))
    shares = []
    for words in known.words:
        total = sum(words.values())
        shares.append(sum(weight for word, weight in words.items() if word in held) / total if total > 0 else 0.0)
    return np.clip(verdict, -_STRONGEST, _STRONGEST), np.array(shares)


def _mentions(text: str, known: Options) -> list[tuple[int, str]]:
    """The last mentions of options: column, and what follows up to the next one."""
    found = [(m[1] or m[2].lower(), m.start()) for m in known.mention.finditer(text)][-_MOST_MENTIONS:]
    ends = [*(start for _, start in found[1:]), len(text)]
    return [
        (known.named[name], text[start : min(end, start + PASSAGE)])
        for (name, start), end in zip(found, ends, strict=False)
        if name in known.named
    ]


def _mention(given: Mapping[str, str]) -> re.Pattern[str]:
    letters = "".join(re.escape(key) for key in given if len(key) == 1)
    by_letter = rf"(?<![\w'])\(?([{letters}])[).:]" if letters else "((?!))"
    names = sorted({_name(text) for text in given.values()}, key=len, reverse=True)
    texts = [re.escape(name) for name in names if _SHORTEST_NAME <= len(name) < _LONGEST_NAME]
    return re.compile(by_letter + rf"|(?<!\w)((?i:{'|'.join(texts) or '(?!)'}))(?!\w)")


def _name(text: str) -> str:
    return text.lower().strip().rstrip(".")


def _outlying(texts: Sequence[str]) -> Column:
    values = [numbers(text)[:1] for text in texts]
    if any(
        not v or len(_FIGURES.sub("", t).strip()) > _LETTERS_BESIDE_A_NUMBER for v, t in zip(values, texts, strict=True)
    ):
        return np.full(len(texts), np.nan)
    size = np.array([float(v[0]) for v in values])
    below = (size[None, :] < size[:, None]).sum(axis=1) + ((size[None, :] == size[:, None]).sum(axis=1) - 1) / 2
    return np.asarray(np.abs(below / (len(texts) - 1) - 0.5), dtype=np.float64)


def _words(text: str) -> list[str]:
    return _WORD.findall(_FILLERS.sub(" ", text.lower()))


def _letters(text: str) -> frozenset[str]:
    padded = f" {normal_text(text)} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / max(len(a | b), 1)
