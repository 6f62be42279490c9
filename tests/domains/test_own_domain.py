"""A domain that a user adds in one file, as docs/own_domain.md says, and a judge for free text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memreward.domains import DomainRules, JudgeVerifier, Verifiers, parse_rollout, register, registry, rules_of
from memreward.domains.registry import load_domain
from memreward.domains.verifiers import load_verifier
from memreward.memory import ExperienceMemory, label
from memreward.types import DOMAINS, Claim, ConfigurationError, Group, Query, Truth, UnknownDomainError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_domain.md"
GAMES = (["Nf3", "N-f3!", "I play Nf3.", "d4"], ["e4", "e4!!", "d4", "c4"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The page's first block."""
    path = tmp_path / "mine.py"
    path.write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0])
    return path


@pytest.fixture(autouse=True)
def _no_domain_stays() -> Iterator[None]:
    rules, names = dict(registry._RULES), list(DOMAINS)
    yield
    registry._RULES.clear()
    registry._RULES.update(rules)
    DOMAINS[:] = names


def memreward(file: Path, *arguments: object, code: int = 0) -> str:
    """Run the command line as users do."""
    command = [sys.executable, "-m", "memreward", "--domain", f"{file}:Chess", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.slow
def test_one_file_adds_a_domain_to_every_command(file: Path, tmp_path: Path) -> None:
    games = [
        {
            "id": f"g{index}",
            "domain": "chess",
            "query": f"Find the best move in position {index}.",
            "reference": moves[0],
            "rollouts": [{"text": f"After some thought: {move}"} for move in moves],
        }
        for index, moves in enumerate(GAMES)
    ]
    (tmp_path / "games.jsonl").write_text("".join(json.dumps(game) + "\n" for game in games))
    memory, verified = ("--memory", tmp_path / "m"), tmp_path / "verified.jsonl"
    memreward(file, "verify", tmp_path / "games.jsonl", *memory, "--out", verified, "--labels", "all")
    judged = [json.loads(line) for line in verified.read_text().splitlines()]
    assert [[r["correct"] for r in game["rollouts"]] for game in judged] == [
        [True, True, True, False],
        [True, True, False, False],
    ]
    report = json.loads(memreward(file, "warmup", *memory, "--labels", "all", "--json"))
    assert (report["labelled_queries"], report["labels"]) == (2, 8)
    memreward(file, "score", tmp_path / "games.jsonl", *memory, "--out", tmp_path / "scored.jsonl")
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    values = [row["value"] for row in scored if row["query_id"] == "g0"]
    assert values[0] == values[1] == values[2] > values[3], "equivalent answers have one value"


def test_a_domain_that_cannot_be_loaded_is_named(file: Path) -> None:
    for named in ("mine.py", f"{file}:Nothing", "nowhere.py:Chess", "no.such.module:Chess", f"{file}:re"):
        with pytest.raises(ConfigurationError, match="domain"):
            load_domain(named)
    assert load_domain(f"{file}:Chess").name == "chess"
    assert load_domain(f"{file}:Chess") is rules_of("chess"), "again is no other"

    class Math(DomainRules):
        name = "chess"

    with pytest.raises(ConfigurationError, match="there already"):
        register(Math())
    with pytest.raises(UnknownDomainError, match="use one of"):
        rules_of("checkers")


def test_a_domain_of_ones_own_is_registered_in_python(file: Path) -> None:
    load_domain(f"{file}:Chess")
    query = Query("q", "Find the best move.", "chess")
    rollouts = [parse_rollout(query, text, id=str(index)) for index, text in enumerate((*GAMES[0], "I resign"))]
    assert [rollout.answer for rollout in rollouts] == ["Nf3", "N-f3", "Nf3", "d4", None]
    verdicts = Verifiers().verify([Claim(rollout, "Nf3") for rollout in rollouts])
    assert [verdict.correct for verdict in verdicts] == [True, True, True, False, None]
    assert {verdict.source for verdict in verdicts} == {"chess"}


def groups() -> list[Group]:
    query = Query("t", "What did she think of it?", "other")
    texts = ("She liked it.", "she liked it", "She was fond of it", "She hated it")
    members = tuple(parse_rollout(query, f"<answer>{text}</answer>", id=f"t/{i}") for i, text in enumerate(texts))
    return [Group(query, members, Truth("She liked it"))]


def test_the_verdicts_of_a_judge_are_labels_under_its_name() -> None:
    memory, asked = ExperienceMemory.in_memory(), []
    memory.add(groups())

    def decide(question: str, answer: str, reference: str) -> bool:
        asked.append((question, answer, reference))
        return "hate" not in answer

    found = label(memory, ["t"], Verifiers(own={"other": JudgeVerifier("ann-bot", decide)}), use="verify")
    assert {one.rollout_id: one.correct for one in found.labels} == {
        "t/0": True,
        "t/1": True,
        "t/2": True,
        "t/3": False,
    }
    assert len(asked) == 3, "spellings of one answer are judged once"
    assert {reference for *_, reference in asked} == {"She liked it"}
    assert memory.ledger.totals()["sources"]["ann-bot"]["judgements"] == 3


def test_a_verifier_is_a_function_a_class_or_an_object_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "check.py"
    path.write_text(
        "from memreward.types import Verdict\n"
        "def exact(question, answer, reference):\n    return answer == reference\n"
        "class Always:\n    name = 'always'\n"
        "    def verify(self, claims):\n        return [Verdict(True, 'x')] * len(claims)\n"
    )
    rollouts = groups()[0].rollouts
    claims = [Claim(rollout, "She liked it") for rollout in rollouts]
    domain, verifier = load_verifier(f"other={path}:exact")
    assert [verdict.correct for verdict in Verifiers(own={domain: verifier}).verify(claims)] == [
        True,
        False,
        False,
        False,
    ]
    path.write_text(path.read_text().replace("==", "!="))
    os.utime(path, ns=(1, 1))
    assert load_verifier(f"other={path}:exact")[1].name != verifier.name, "its verdicts are others"
    domain, verifier = load_verifier(f"other={path}:Always")
    assert {verdict.source for verdict in Verifiers(own={domain: verifier}).verify(claims)} == {"always"}
    for wrong in (f"{path}:exact", f"other={path}:nothing", "other=json:__name__"):
        with pytest.raises(ConfigurationError, match="verifier"):
            load_verifier(wrong)
    with pytest.raises(UnknownDomainError):
        load_verifier(f"sports={path}:exact")
