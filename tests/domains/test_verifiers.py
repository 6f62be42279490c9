"""Verifiers in the places they are used from: threads, event loops, other processes; their limits and their memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memreward.domains import VerdictCache, Verifiers, VerifyConfig, parse_rollout
from memreward.domains.choice.verify import ChoiceVerifier
from memreward.domains.math import verify as math_verify
from memreward.domains.math.verify import MathVerifier
from memreward.domains.text.domain import TextVerifier
from memreward.domains.verifiers import verifier_for
from memreward.memory import sealed_verdicts
from memreward.types import (
    Claim,
    ConfigurationError,
    Domain,
    Group,
    Query,
    SandboxError,
    SchemaVersionError,
    StoreError,
    Truth,
    UnknownDomainError,
    Verdict,
    Verifier,
)

# A number with more digits than the machine has bits.
HANG = "\\boxed{9^{9^{9^{9}}} + \\sin 1}"
# A process may have to start, which on a busy machine takes long; a hang takes for ever.
IN_TIME_S = 90.0


def quick() -> dict[str, Verifier]:
    return {"math": MathVerifier(1.0)}


def claim(text: str, reference: str, domain: Domain = "math", query: str = "How much?") -> Claim:
    return Claim(parse_rollout(Query("q", query, domain), text, id=f"q/{text}"), reference)


MIXED = [
    claim("\\boxed{x+1}", "1+x"),
    claim("The answer is (B).", "B", "qa", "Which?\n(A) one\n(B) two"),
    claim("So \\boxed{2}", "3"),
    claim("(A)", "B", "qa", "Which?\n(A) one\n(B) two"),
    claim("Paris", "Paris", "other"),
    claim("", "3"),
]
FOUND = [True, True, False, False, True, False]


class Counting:
    """A verifier that says right and remembers what it was asked."""

    def __init__(self, name: str = "counting-1") -> None:
        self.name = name
        self.asked: list[Claim] = []
        self.found = Verdict(True, "so it is")

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        self.asked += claims
        return [self.found] * len(claims)


class Refusing(Counting):
    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        raise SandboxError("code cannot be contained here")


def verdicts_of(claims: Sequence[Claim]) -> list[bool | None]:
    return [verdict.correct for verdict in Verifiers().verify(claims)]


def test_all_keep_the_protocol() -> None:
    for verifier in (Verifiers(), MathVerifier(), ChoiceVerifier(), TextVerifier(), Counting()):
        assert isinstance(verifier, Verifier)
    assert isinstance(verifier_for("math"), MathVerifier)
    assert isinstance(verifier_for("qa"), ChoiceVerifier)
    assert isinstance(verifier_for("other"), TextVerifier)
    with pytest.raises(UnknownDomainError, match="'law' is unknown"):
        verifier_for("law")


def test_groups_are_judged_in_their_order_and_not_without_a_reference() -> None:
    def group(number: int, reference: str | None, *texts: str) -> Group:
        query = Query(f"q{number}", "How much?", "math")
        rollouts = tuple(parse_rollout(query, text, id=f"q{number}/{i}") for i, text in enumerate(texts))
        return Group(query, rollouts, Truth(reference, (True,) * len(texts)))

    given = [group(0, "3", "#### 3", "#### 4"), group(1, None, "#### 3"), group(2, "4", "#### 3", "#### 4", "#### 5")]
    judged = sealed_verdicts(given, Verifiers())
    assert [found.truth.correct for found in judged] == [(True, False), (None,), (False, True, False)]
    assert [replace(found, truth=asked.truth) for found, asked in zip(judged, given, strict=True)] == given


def test_mixed_domains_come_back_in_order_with_reasons() -> None:
    found = Verifiers().verify(MIXED)
    assert [verdict.correct for verdict in found] == FOUND
    assert all(verdict.reason for verdict in found)
    assert Verifiers().verify([]) == []


@pytest.mark.slow
def test_in_an_event_loop_that_goes_on_meanwhile() -> None:
    async def ask() -> tuple[list[Verdict], int]:
        ticks = 0
        task = asyncio.create_task(asyncio.to_thread(Verifiers(own=quick()).verify, [*MIXED, claim(HANG, "1")]))
        while not task.done():
            ticks += 1
            await asyncio.sleep(0.01)
        return task.result(), ticks

    found, ticks = asyncio.run(ask())
    assert [verdict.correct for verdict in found] == [*FOUND, None]
    assert ticks > 10


@pytest.mark.slow
def test_in_many_threads_at_once() -> None:
    found: list[list[bool | None]] = []
    threads = [threading.Thread(target=lambda: found.append(verdicts_of(MIXED))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(IN_TIME_S)
    assert found == [FOUND] * 8


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.slow
def test_in_child_processes(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} does not exist on this platform")
    assert verdicts_of(MIXED) == FOUND
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply_async(verdicts_of, (MIXED,)).get(IN_TIME_S) == FOUND
    assert verdicts_of([claim("\\boxed{x+2}", "2+x")]) == [True]


@pytest.mark.slow
def test_a_hang_is_undecided_within_its_limit_and_holds_up_nothing_else() -> None:
    verifier = MathVerifier(1.0)
    verifier.verify([claim("\\boxed{\\sin 0}", "0")])
    start = time.monotonic()
    hang, after = verifier.verify([claim(HANG, "1"), claim("\\boxed{\\sin 0}", "0")])
    assert time.monotonic() - start < IN_TIME_S
    assert hang.correct is None
    assert "1 s" in hang.reason
    assert after.correct is True


@pytest.mark.slow
def test_a_hang_in_the_reference_is_undecided_too() -> None:
    reference = HANG.removeprefix("\\boxed{").removesuffix("}")
    assert Verifiers(own=quick()).verify([claim("\\boxed{1}", reference)])[0].correct is None


def test_a_process_that_cannot_start_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    fresh = math_verify._pool.__wrapped__  # the pool that is kept may have started
    monkeypatch.setattr(math_verify, "_pool", fresh)
    found = MathVerifier().verify([claim("\\boxed{x}", "y")])[0]
    assert found.correct is None
    assert "did not start" in found.reason


def test_a_rollout_that_was_cut_off_did_not_answer() -> None:
    whole = claim("First we add the two of them, 2 + 3 = 5, then", "5")
    assert Verifiers().verify([whole])[0].correct is None
    cut = replace(whole, rollout=replace(whole.rollout, truncated=True))
    assert Verifiers().verify([cut])[0].correct is False


def test_an_answer_that_was_given_apart_from_the_text_counts() -> None:
    given = claim("I will not say.", "5")
    given = replace(given, rollout=replace(given.rollout, answer="\\frac{10}{2}"))
    assert Verifiers().verify([given])[0].correct is True


@pytest.mark.slow
def test_choices_take_linear_time_whatever_the_text() -> None:
    texts = [
        "A or " * 20_000,
        "(" * 100_000,
        "not " * 30_000 + "B",
        "The answer is " * 7_000,
        "(A) is" + " x" * 50_000,
    ]
    start = time.monotonic()
    ChoiceVerifier().verify([claim(text, "B", "qa", "Which?\n(A) one\n(B) two") for text in texts])
    assert time.monotonic() - start < IN_TIME_S


def test_a_claim_is_judged_once() -> None:
    counting = Counting()
    verifiers = Verifiers(own={"math": counting})
    first = verifiers.verify([claim("5", "5"), claim("6", "5"), claim("5", "5")])
    again = verifiers.verify([claim("6", "5"), claim("7", "5")])
    assert [one.rollout.text for one in counting.asked] == ["5", "6", "7"]
    assert len(first) == 3
    assert again[0] == replace(counting.found, source=counting.name)


def test_answer_reference_query_and_version_each_make_another_claim() -> None:
    counting = Counting()
    cache = VerdictCache()
    verifiers = Verifiers(own={"math": counting}, cache=cache)
    for one in (claim("5", "5"), claim("6", "5"), claim("5", "6"), claim("5", "5", query="How many?")):
        verifiers.verify([one])
    counting.name = "counting-2"
    verifiers.verify([claim("5", "5")])
    assert len(counting.asked) == 5


def test_rollouts_with_one_answer_are_one_claim_to_the_math_verifier() -> None:
    verifier = MathVerifier()
    subjects = {verifier.subject(claim(f"{words} \\boxed{{5}}", "5")) for words in ("So", "Hence", "Thus")}
    assert len(subjects) == 1


def test_a_folder_remembers_decisions_but_no_doubts(tmp_path: Path) -> None:
    counting = Counting()
    Verifiers(own={"math": counting}, cache=VerdictCache(tmp_path)).verify([claim("5", "5")])
    counting.found = Verdict(None, "not decided within 5 s")
    doubtful = Verifiers(own={"math": counting}, cache=VerdictCache(tmp_path))
    assert [v.correct for v in doubtful.verify([claim("5", "5"), claim("6", "5")])] == [True, None]
    doubtful.verify([claim("6", "5")])
    assert len(counting.asked) == 2
    later = Verifiers(own={"math": counting}, cache=VerdictCache(tmp_path))
    (known,) = later.verify([claim("5", "5")])
    assert (known.correct, known.reason) == (True, "so it is")
    later.verify([claim("6", "5")])
    assert [one.rollout.text for one in counting.asked] == ["5", "6", "6"]


def _judge_with(cache: VerdictCache, number: int) -> bool | None:
    return Verifiers(own={"math": Counting()}, cache=cache).verify([claim(str(number), "5")])[0].correct


@pytest.mark.slow
def test_a_folder_is_shared_by_processes(tmp_path: Path) -> None:
    cache = VerdictCache(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap_async(_judge_with, [(cache, n) for n in range(8)]).get(IN_TIME_S) == [True] * 8
    untouched = Counting()
    Verifiers(own={"math": untouched}, cache=cache).verify([claim(str(n), "5") for n in range(8)])
    assert untouched.asked == []


def test_many_keys_are_looked_up_at_once(tmp_path: Path) -> None:
    keys = [f"{number:064x}" for number in range(2_500)]
    cache = VerdictCache(tmp_path)
    cache.put({key: Verdict(number % 2 == 0) for number, key in enumerate(keys)})
    found = VerdictCache(tmp_path).get([*keys, "f" * 64])
    assert [found[key].correct for key in keys] == [number % 2 == 0 for number in range(2_500)]
    assert "f" * 64 not in found


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"cache cannot be made.*another local folder"):
        VerdictCache(tmp_path / "file" / "below")
    (tmp_path / "judged.sqlite").write_text("this is no database, however long it may be " * 9)
    with pytest.raises(StoreError, match="delete the file"):
        VerdictCache(tmp_path)


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    VerdictCache(tmp_path)
    with sqlite3.connect(tmp_path / "judged.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaVersionError, match="version 99"):
        VerdictCache(tmp_path)


def test_a_verifier_that_refuses_costs_only_its_own_claims() -> None:
    verifiers = Verifiers(own={"code": Refusing()})
    found = verifiers.verify([claim("def f(): pass", "[]", "code"), claim("\\boxed{3}", "3")])
    assert [verdict.correct for verdict in found] == [None, True]
    assert found[0].reason == "code cannot be contained here"


def test_verifiers_pickle(tmp_path: Path) -> None:
    verifiers = Verifiers(VerifyConfig("namespaces"), cache=VerdictCache(tmp_path))
    verifiers.verify(MIXED[:2])
    copy = pickle.loads(pickle.dumps(verifiers))
    assert copy.config == VerifyConfig("namespaces")
    assert [verdict.correct for verdict in copy.verify(MIXED)] == FOUND


class Failing:
    """Judges by length, and fails at certain texts."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        if any("fail" in claim.rollout.text for claim in claims):
            raise self.error
        return [Verdict(len(claim.rollout.text) < 10) for claim in claims]


def plain_claims(*texts: str) -> list[Claim]:
    query = Query("q", "?", "other")
    return [Claim(parse_rollout(query, text, id=f"q/{i}"), "1") for i, text in enumerate(texts)]


def test_a_reply_that_breaks_a_verifier_costs_its_own_verdict_alone() -> None:
    verifiers = Verifiers(own={"other": Failing(ValueError("too many digits"))})
    verdicts = verifiers.verify(plain_claims("short", "fail", "much longer than that"))
    assert [verdict.correct for verdict in verdicts] == [True, None, False]
    assert verdicts[1].reason == "ValueError: too many digits"


@pytest.mark.parametrize("error", [TypeError("wrong arguments"), AttributeError("no such thing"), ConnectionError("x")])
def test_an_error_that_no_reply_is_to_blame_for_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        Verifiers(own={"other": Failing(error)}).verify(plain_claims("short", "fail"))


@pytest.mark.parametrize("wrong", [[Verdict(True)], [True, True]])
def test_a_verifier_that_returns_something_else_is_named(wrong: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Failing(ValueError())
    monkeypatch.setattr(verifier, "verify", lambda claims: wrong)
    with pytest.raises(TypeError, match="'failing' returned"):
        Verifiers(own={"other": verifier}).verify(plain_claims("a", "b"))


@pytest.mark.parametrize("config", [{"math": None}, {}, "auto"])
def test_what_is_no_configuration_is_not_taken_for_one(config: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"give a VerifyConfig, or verifiers of your own as Verifiers\(own="):
        Verifiers(config)
