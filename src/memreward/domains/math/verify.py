"""Ground truth for mathematics: the committed answer against the reference, judged in processes that can be killed."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

from memreward.domains.choice.parse import normal_text
from memreward.domains.completion import parse_completion
from memreward.domains.math.doubt import math_doubt
from memreward.domains.math.rules import stated_reference
from memreward.domains.registry import answer_key
from memreward.domains.shared.dress import answer_region
from memreward.domains.shared.retraction import retracted
from memreward.domains.shared.worker import WorkerPool
from memreward.sandbox.deadline import carried
from memreward.types import Claim, MemRewardError, Verdict

RULES = 23
_PROCESSES = 4
"""Workers of this process, at most; each takes about 150 MB."""
_SHORT = 120
_MARKED = frozenset({"answer_tag", "boxed", "hash", "a_line", "phrase"})
_NUMERAL = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d{1,30})(?:\.\d{1,30})?")
_COURTESY = re.compile(
    r"(?<![^\s.!?])(?:I hope|hope this|(?:please )?let me know|feel free|if you (?:have|need|want|would like)|"
    r"would you like|happy to help|thank)\b[^\d\n]*\Z",
    re.IGNORECASE,
)
_FAREWELL = 300
_CODA = re.compile(r"[^\w\n]*(?:[^\W\d]+[^\w,;\n]*){0,4}")
_BREAKS_OFF = frozenset("and or so but as if that which the a an of to for with".split())  # noqa: SIM905
_TOTAL = re.compile(
    r"\W{0,6}(?:(?:the|grand|in) )?(?:total|sum|result|altogether|overall|final)\b[^.\n]{0,40}\Z", re.IGNORECASE
)
_FINISHED = re.compile(r"[.!?。！][\s)\]}*_\"'$\\]*\Z")


@dataclass(frozen=True, slots=True)
class Submission:
    """What is judged of a rollout: its answer, if any, and why it is not right though it equals the reference."""

    answer: str | None
    doubt: str = ""


class MathVerifier:
    """Decides whether the last answer that a rollout commits to is the reference; see `docs/verifiers.md`.

    One that takes longer than `seconds` to compare is undecided.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds

    @cached_property
    def name(self) -> str:
        return f"math-{RULES}+math-verify-{version('math-verify')}"

    def subject(self, claim: Claim) -> tuple[str | None, ...]:
        submitted = submission(claim)
        return claim.rollout.query.text, submitted.answer, submitted.doubt, claim.reference

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        pool = _pool(min(_PROCESSES, os.cpu_count() or 1))
        if len(claims) < 2 or pool.size == 1:
            return [self._judge(claim, pool) for claim in claims]
        threads = ThreadPoolExecutor(min(len(claims), pool.size))
        try:
            return list(threads.map(carried(partial(self._judge, pool=pool)), claims))
        except BaseException:
            # After an interruption nobody wants the rest, nor what may take long already.
            threads.shutdown(wait=False, cancel_futures=True)
            pool.cancel()
            raise
        finally:
            threads.shutdown()

    def _judge(self, claim: Claim, pool: WorkerPool) -> Verdict:
        submitted = submission(claim)
        if submitted.answer is None:
            named = _in_its_words(claim)
            return Verdict(
                named, "no answer was committed" + (", and the reference is among its words" if named is None else "")
            )
        decided = _numerals(submitted, stated_reference(claim.reference))
        if decided is not None:
            return decided
        limit, query = self.seconds, claim.rollout.query.text
        asked = {"answer": submitted.answer, "reference": claim.reference, "query": query, "limit": limit}
        try:
            reply = pool.ask(asked, limit)
        except MemRewardError as error:
            return Verdict(None, str(error))
        if reply.outcome == "late":
            return Verdict(None, f"not decided within {limit:g} s")
        if reply.outcome == "died":
            return Verdict(None, "the process that compared the answers died")
        found = reply.value
        return _settled(submitted, found["correct"], found["reason"])


def submission(claim: Claim) -> Submission:
    """Return what a rollout submits: its answer, and why the text may not stand by it."""
    rollout = claim.rollout
    if rollout.answer is None or not rollout.answer.strip():
        return Submission(None)
    parsed = parse_completion(rollout.text, "math", rollout.query.text)
    if parsed.answer != rollout.answer:
        return Submission(rollout.answer)
    if parsed.form == "last_number":
        if rollout.truncated:
            return Submission(None)
        if not _concludes(rollout.text, rollout.answer):
            return Submission(rollout.answer, "the reference is the last number of a text that commits to no answer")
    _, reply, _ = answer_region(rollout.text)
    why = math_doubt(reply, rollout.answer, rollout.query.text, marked=parsed.form in _MARKED)
    why = why or retracted(rollout.text, rollout.answer, rollout.query.text)
    return Submission(rollout.answer, why and f"it equals the reference, but {why}")


def _in_its_words(claim: Claim) -> bool | None:
    """Of a reply without an answer that can be read: None where a reference in words is among its last, else False."""
    word = normal_text(stated_reference(claim.reference))
    said = f" {normal_text(answer_region(claim.rollout.text)[1][-_SHORT:])} "
    return None if word.isalpha() and len(word) > 2 and f" {word} " in said else False


def _numerals(submitted: Submission, reference: str) -> Verdict | None:
    """Two plain numerals are compared at once, which no process need be asked for."""
    if not (submitted.answer and _NUMERAL.fullmatch(submitted.answer) and _NUMERAL.fullmatch(reference)):
        return None
    equal = answer_key(submitted.answer, "math") == answer_key(reference, "math")
    reason = "equal in value or form" if equal else "another value"
    return _settled(submitted, equal, reason)


def _settled(submitted: Submission, correct: bool | None, reason: str) -> Verdict:
    if correct and submitted.doubt:
        correct, reason = None, submitted.doubt
    return Verdict(correct, reason)


def _concludes(text: str, number: str) -> bool:
    """Whether the number stands in the last sentence of a text that is short or ends as sentences do."""
    ending = text.rstrip(" \n\u2705\u2714\ufe0f\U0001f389")
    while (courtesy := _COURTESY.search(ending, max(0, len(ending) - _FAREWELL))) is not None:
        ending = ending[: courtesy.start()].rstrip()
    coda = ending[ending.rfind(number) + len(number) :]
    if (
        len(text) <= _SHORT
        and "\n" not in ending
        and _CODA.fullmatch(coda)
        and not _BREAKS_OFF & {*coda.lower().split()[-1:]}
    ):
        ending += "."
    last_line = ending.rsplit("\n", 1)[-1]
    last_sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", last_line)[-1]
    finished = _FINISHED.search(ending) is not None or _TOTAL.match(last_line) is not None
    return finished and number in last_sentence


@lru_cache(maxsize=8)
def _pool(size: int) -> WorkerPool:
    return WorkerPool(Path(__file__).with_name("worker.py"), size)
