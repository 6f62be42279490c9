"""No reply, however degenerate, holds up its readers: parsing, clusters and evidence, off the main thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from memreward.domains import Verifiers, cluster_answers, parse_rollout
from memreward.domains.math import process as math_process
from memreward.features.evidence import compute_evidence
from memreward.types import Claim, Domain, Query

pytestmark = pytest.mark.slow

LENGTH = 2_000_000
QUERIES: dict[Domain, Query] = {
    "math": Query("m", "How much?", "math"),
    "qa": Query("c", "Which?\n(A) one\n(B) two", "qa"),
    "code": Query("p", "def f(x):\n", "code"),
}
PATTERNS = ["{", "((", "}", "9", "word", "word ", "\\boxed{", "\\boxed{1}", "\\frac{", "1=", "the answer is 4. "]
SLOW = "\\sin(0) + 9^{9^{9^{9^{9}}}}"


def in_a_thread(work: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds that some work takes off the main thread, where no alarm would reach it."""
    failures: list[BaseException] = []
    seconds: list[float] = []

    def run() -> None:
        start = clock()
        try:
            work()
        except BaseException as error:
            failures.append(error)
        seconds.append(clock() - start)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(100)
    assert not thread.is_alive()
    assert not failures
    return seconds[0]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_megabytes_of_one_thing(pattern: str) -> None:
    text = pattern * (LENGTH // len(pattern))
    for domain, query in QUERIES.items():
        if domain != "math" and pattern not in {"{", "((", "word", "\\boxed{"}:
            continue
        rollouts = []

        def read(query: Query = query, rollouts: list = rollouts) -> None:
            texts = (text, "The answer is \\boxed{5}.", "(B)")
            rollouts.extend(parse_rollout(query, each, id=f"q/{index}") for index, each in enumerate(texts))
            cluster_answers([text, *(rollout.answer for rollout in rollouts)], query.domain, query_text=query.text)
            compute_evidence(rollouts)

        assert in_a_thread(read, time.thread_time) < 20  # its own work: a busy machine is not the reader's fault
        assert rollouts[0].text == text


@pytest.mark.timeout(120)
def test_an_answer_of_many_slow_parts_is_given_up_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow parts share one limit, and those behind its end are not asked about."""
    ask, asked = math_process._worker.ask, []
    monkeypatch.setattr(math_process._worker, "ask", lambda *given: asked.append(given) or ask(*given))
    parts = [f"{SLOW} + {index}" for index in range(7)]
    in_a_thread(lambda: cluster_answers([", ".join(parts), "1"], "math") and None)
    limits = [limit for _, limit in asked]
    assert limits == sorted(limits, reverse=True)
    assert 1 <= len(set(limits)) == len(limits) < len(parts)  # each takes a second at least, of five in all


@pytest.mark.timeout(120)
def test_a_verdict_on_a_degenerate_answer_comes_in_time() -> None:
    verifiers = Verifiers()
    texts = [f"\\boxed{{{', '.join([SLOW] * 7)}}}", "\\boxed{" + "9" * LENGTH + "}", "\\boxed{" * 100_000]
    claims = [Claim(parse_rollout(QUERIES["math"], text, id="q"), "5") for text in texts]
    verdicts = []
    assert in_a_thread(lambda: verdicts.extend(verifiers.verify(claims))) < 40
    assert all(verdict.correct is not True for verdict in verdicts)
