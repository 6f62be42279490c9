"""The store in a process of its own: the same answers, and what hangs or kills its process costs one group."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from serving import group, made_store

from memreward.data import group_from_record
from memreward.service import store, store_process
from memreward.service.config import ServiceConfig
from memreward.service.messages import AskedGroup, ConflictError, GroupMessage
from memreward.service.store_process import StoreProcess
from memreward.types import DOMAINS, StoreError

pytestmark = pytest.mark.slow

DOMAIN = """
import os
import time
from memreward.domains import DomainRules

class Fragile(DomainRules):
    name = "fragile"

    def parse(self, text, prompt):
        if "hang" in text:
            time.sleep(3600)
        if "die" in text:
            os._exit(3)
        return text
"""


def asked(number: int, *, texts: Sequence[str] | None = None, domain: str = "math") -> AskedGroup:
    whole = group(number, texts=texts)
    return GroupMessage(**{**whole, "query": {**whole["query"], "domain": domain}}).group()


@pytest.fixture
def apart_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreProcess]:
    from memreward.domains import registry

    file = tmp_path / "fragile.py"
    file.write_text(DOMAIN)
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    names = list(DOMAINS)
    monkeypatch.setenv("MEMREWARD_DOMAINS", f"{file}:Fragile")
    registry.load_domain(f"{file}:Fragile")
    made = StoreProcess(tmp_path / "memory", ServiceConfig(labels=1))
    yield made
    made.close()
    DOMAINS[:] = names


def test_it_answers_as_a_store_in_this_process_does(apart_store: StoreProcess, tmp_path: Path) -> None:
    here = made_store(tmp_path / "other", ServiceConfig(labels=1))
    groups = [asked(number) for number in range(3)]
    found = apart_store.score(groups)
    assert found == here.score(groups)
    assert list(found[0]) == [apart_store.answered(groups[0].id, r) for r in groups[0].rollouts]  # type: ignore[union-attr]
    (conflict,) = apart_store.score([asked(0, texts=["another"])])
    assert isinstance(conflict, ConflictError)
    more = group_from_record({"id": "m", "domain": "math", "query": "1 + 1?", "rollouts": [{"text": "2"}]}, where="")
    assert apart_store.add([more]) == here.add([more])
    verdict = {"q0": {found[0][0].rollout: True}}  # type: ignore[index]
    assert apart_store.label(verdict, source="ann", use="service") == {"labels": 1, "new": 1}
    here.label(verdict, source="ann", use="service")
    assert apart_store.ledger() == here.ledger()
    assert apart_store.memory() == here.memory()
    assert apart_store.figures() == here.figures() | {"labelled_queries": 1.0}
    here.close()


def test_what_hangs_or_dies_costs_its_own_group_alone(
    apart_store: StoreProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROLLOUT_SECONDS", 0.5)
    monkeypatch.setattr(store_process, "GRACE_SECONDS", 4.0)
    groups = [
        asked(1, texts=["one", "one", "two"], domain="fragile"),
        asked(2, texts=["hang", "one"], domain="fragile"),
        asked(3, texts=["die", "one"], domain="fragile"),
    ]
    found = apart_store.score(groups)
    sound, hung, dead = ([(one.reward, one.failed, one.reason) for one in answers] for answers in found)  # type: ignore[union-attr]
    assert [failed for _, failed, _ in sound] == [False] * 3
    assert sound[0][0] > sound[2][0]
    assert hung == [(0.0, True, "scoring took more than 5 s and was killed")] * 2
    assert [(reward, failed) for reward, failed, _ in dead] == [(0.0, True)] * 2
    assert "died" in dead[0][2]
    # What was answered is answered so again, and nothing hangs anew.
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("its process is killed again"))
    assert apart_store.score(groups) == found


def test_a_process_that_somebody_killed_is_replaced_and_nobody_notices(apart_store: StoreProcess) -> None:
    first = apart_store.score([asked(5)])
    os.kill(apart_store._pid, signal.SIGKILL)
    assert apart_store.score([asked(5)]) == first
    (again,) = apart_store.score([asked(6)])
    assert not any(one.failed for one in again)  # type: ignore[union-attr]


def test_it_closes_though_what_it_does_hangs(apart_store: StoreProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_process, "GRACE_SECONDS", 0.5)
    failures: list[StoreError] = []

    def hang() -> None:
        try:
            apart_store.score([asked(7, texts=["hang"], domain="fragile")])
        except StoreError as error:
            failures.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    while not apart_store._turn.locked():
        time.sleep(0.01)
    apart_store.close()
    thread.join()
    assert not psutil.pid_exists(apart_store._pid)
    assert ["stops" in str(error) for error in failures] == [True], "no process was begun for it again"
