"""Methods that people add in one file: docs/own_method.md from top to bottom, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from memreward import write_groups
from memreward.answers.model import AnswerModel
from memreward.answers.prior import RewardPrior
from memreward.answers.table import POOLED, columns_of
from memreward.evaluation.baselines import BASELINES
from memreward.evaluation.metrics import group_auc
from memreward.evaluation.own import OwnPredictor, adapted, installed_predictors, own_predictor
from memreward.evaluation.protocol import EvaluationConfig, evaluate
from memreward.features import own
from memreward.features.featurizer import Featurizer
from memreward.plugins import SIGNALS, installed
from memreward.types import ConfigurationError, DataError, LabelError, Truth
from tests.cli.command_line import run

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own_method.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _no_signal_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(SIGNALS, raising=False)
    before = dict(own._SIGNALS)
    yield
    own._SIGNALS.clear()
    own._SIGNALS.update(before)
    os.environ.pop(SIGNALS, None)


@pytest.fixture
def mine(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(write.calls, write.calls))  # a file that changes twice in one tick has changed
        write.calls += 1
        return path

    write.calls = 1
    return write


@pytest.mark.slow
def test_the_page_works_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in this process, and all evaluations but the first without worker processes."""
    monkeypatch.setenv("MEMREWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{tmp_path}")
    monkeypatch.chdir(tmp_path)
    written: dict[str, str] = {}
    said: dict[str, str] = {}
    steps = re.findall(r"```python file=(\S+)\n(.*?)```|^    ((?:python|memreward) [^\n]+)$", PAGE, re.DOTALL | re.M)
    assert len(steps) > 12
    for file, block, line in steps:
        if file:
            written[file] = written.get(file, "") + block
            (tmp_path / file).write_text(written[file], encoding="utf-8")
            continue
        words = line.split()
        if "FOLDER" in words:  # files of one's own, a hundred questions each: test_suite.py
            continue
        if words[0] == "python":
            done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            said[line] = done.stdout
        else:
            if words[1] == "evaluate" and len(said) > 1:
                monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
            said[line] = run(*words[1:]).stdout
    first, second, third = (out for line, out in said.items() if line.startswith("memreward evaluate"))
    assert "LengthVote against majority" in first
    assert "Brevity" in second
    assert "logistic_evidence" in third
    result = json.loads((tmp_path / "runs/mine/evaluation.json").read_text())
    found = {(row["predictor"], row["labels"]): row["figures"]["group_auc"] for row in result["rows"]}
    few, none = found["memreward", 20.0], found["memreward", 0.0]
    assert few["value"] > none["value"] + 0.2, "labels teach the model what the signal says"
    assert few["low"] > none["high"]
    judged = [json.loads(row)["rollouts"] for row in (tmp_path / "runs/mine/verified.jsonl").read_text().splitlines()]
    assert {rollout["verdict"] for rollouts in judged for rollout in rollouts} == {"the judge says so"}
    (printed,) = (out for line, out in said.items() if line == "python compare.py")
    assert printed.startswith("Figure(value=")


def test_lists_and_arrays_are_values_and_a_fit_may_be_missing(mine, groups, featurizer) -> None:
    file = mine(
        "import numpy as np\n"
        "class Plain:\n    name = 'plain'\n    def predict(self, features):\n        return [0.25] * len(features)\n"
        "class Seeded:\n    def __init__(self, seed):\n        self.seed = seed\n"
        "    def fit(self, features, labels):\n        self.known = int((labels >= 0).sum())\n"
        "    def predict(self, features):\n        return np.full(len(features), self.seed / 10)\n"
        "class Length:\n    def scores(self, features):\n        return 7 * features.signal('hint')\n"
        "def half(features):\n    return [None] + [0.5] * (len(features) - 1)\n"
    )
    rollouts = [rollout for group in groups(8) for rollout in group.rollouts]
    features = featurizer.features(rollouts)
    labels = np.array([rollout.answer == "0" for rollout in rollouts], np.int8)
    made = {name: own_predictor(f"{file}:{name}") for name in ("Plain", "Seeded", "Length", "half")}
    assert [each.name for each in made.values()] == ["plain", "Seeded", "Length", "half"]
    fitted = {name: each(3).fit(features, labels) for name, each in made.items()}
    values = {name: one.predict(features).value for name, one in fitted.items()}
    assert values["Plain"].tolist() == [0.25] * len(features)
    assert values["Seeded"] == pytest.approx(0.3)
    assert np.isnan(values["half"][0])
    assert ((values["Length"] > 0) & (values["Length"] < 1)).all(), "scores are calibrated"
    with pytest.raises(LabelError):
        made["Length"](0).fit(features, np.full(len(features), -1, np.int8))


def test_what_learned_from_a_signal_of_ones_own_is_not_used_without_it(mine, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine(SHOUTS)
    write_groups("sums.jsonl", sums())
    warm = run("--signals", "mine.py:shouts", "warmup", "sums.jsonl", "--memory", "memory", "--labels", "8")
    follow = warm.stderr.rpartition("next: memreward ")[2].split()
    assert follow[:3] == ["--signals", "mine.py:shouts", "score"]
    run(*follow)
    own._SIGNALS.clear()
    del os.environ[SIGNALS]  # monkeypatch would set it again, for all tests that follow
    refused = run(*follow[2:], code=1).stderr
    assert "shouts" in refused
    assert "memreward --signals FILE.py:shouts" in refused


def test_a_verifier_of_ones_own_that_fails_is_named_by_file_and_line(mine, tmp_path) -> None:
    mine("def check(question, answer, reference):\n    return answer.nothing\n")
    write_groups(tmp_path / "sums.jsonl", [replace(group, truth=Truth("7", None)) for group in sums(4)])
    own_file = f"math={tmp_path / 'mine.py'}:check"
    paths = ("--memory", tmp_path / "memory", "--out", tmp_path / "out.jsonl")
    failed = run("verify", tmp_path / "sums.jsonl", "--verifier", own_file, *paths, code=1).stderr
    assert f"{tmp_path / 'mine.py'}, line 2: AttributeError" in failed


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("class P:\n    pass\n", ConfigurationError, "neither predicts nor scores"),
        (
            "class P:\n    def __init__(self, k):\n        pass\n",
            ConfigurationError,
            r"mine.py:P failed as it was made.*'k'",
        ),
        (
            "class P:\n    def predict(self, features):\n        return [1.0]\n",
            DataError,
            r"mine.py:P returned.*\(1,\)",
        ),
        (
            "class P:\n    def predict(self, features):\n        return [7] * len(features)\n",
            DataError,
            "not a probability",
        ),
        ("class P:\n    def predict(self, features):\n        return 'x'\n", DataError, "one number a rollout"),
        (
            "class P:\n    def predict(self, features):\n        return 1 / 0\n",
            ConfigurationError,
            "mine.py, line 3: ZeroDiv",
        ),
        (
            "class P:\n    def predict(self, f):\n        return f.signal('hnt')\n",
            DataError,
            "mine.py:P: there is no signal 'hnt' here; near it are hint",
        ),
        ("P = 3\n", ConfigurationError, "P"),
        ("x = 1\n", ConfigurationError, "cannot be loaded .*it has no 'P', but x"),
        ("this is no Python\n", ConfigurationError, "SyntaxError"),
    ],
)
def test_what_goes_wrong_names_the_file(mine, groups, featurizer, body, error, said) -> None:
    file = mine(body)
    features = featurizer.features([rollout for group in groups(4) for rollout in group.rollouts])
    with pytest.raises(error, match=said):
        own_predictor(f"{file}:P")(0).fit(features, np.zeros(len(features), np.int8)).predict(features)


def test_another_text_of_the_file_is_another_predictor(mine, groups, featurizer, tmp_path) -> None:
    text = "class P:\n    def predict(self, features):\n        return [{}] * len(features)\n"
    settings = EvaluationConfig(labels=("5",), seeds=1)
    found = []
    for value in (0.2, 0.2, 0.9):
        chosen = {"p": own_predictor(f"{mine(text.format(value))}:P")}
        row = evaluate({"toy": groups()}, chosen, featurizer, settings, out=tmp_path / "cells").row("toy", "p")
        found.append(row.figures["ece"].value)
    assert found[0] == found[1] != found[2]
    assert len(list((tmp_path / "cells").glob("*.json"))) == 2


def test_a_class_in_python_needs_no_factory(groups, featurizer) -> None:
    class Vote:
        def predict(self, features):
            return np.full(len(features), 0.5)

    settings = EvaluationConfig(labels=("5",), seeds=2)
    both = {"mine": Vote, "majority": BASELINES["majority"]}
    assert evaluate({"toy": groups()}, both, featurizer, settings).row("toy", "mine").figures["coverage"].value == 1.0
    assert adapted(BASELINES["majority"], 0).name == "majority"


def test_packages_add_predictors_by_entry_points(mine, monkeypatch) -> None:
    found = EntryPoints([EntryPoint("theirs", "memreward.evaluation.baselines:LabelModel", "memreward.predictors")])
    monkeypatch.setattr("memreward.plugins.entry_points", lambda group: found.select(group=group))
    monkeypatch.setattr("memreward.evaluation.own.installed", installed.__wrapped__)  # has not been asked before
    assert installed_predictors() == {"theirs": OwnPredictor("memreward.evaluation.baselines:LabelModel")}
    assert installed_predictors()["theirs"](0).name == "label_model"


def sums(queries: int = 60):
    """Sums whose right rollouts are those that shout; as many are wrong, and agree."""
    from memreward.domains import parse_rollout
    from memreward.types import Group, Query

    generator, made = np.random.default_rng(0), []
    for number in range(queries):
        query = Query(f"s{number}", f"What is {number} + 1?", "math")
        right = generator.random(6) < 0.5
        texts = [f"{'Sure!!!' if ok else 'Perhaps.'} The answer is {number + 1 if ok else number + 2}." for ok in right]
        rollouts = tuple(parse_rollout(query, text, id=f"{query.id}/{k}") for k, text in enumerate(texts))
        made.append(Group(query, rollouts, Truth(None, tuple(right.tolist()))))
    return made


SHOUTS = "def shouts(rollouts):\n    return [rollout.text.count('!') for rollout in rollouts]\n"


def test_a_signal_of_ones_own_reaches_the_answer_model_and_survives_its_file(mine, tmp_path) -> None:
    world = sums()
    rollouts = [rollout for group in world for rollout in group.rollouts]
    labels = np.array([verdict for group in world for verdict in group.truth.correct], np.int8)
    prior = RewardPrior.load("default")
    plain = Featurizer().features(rollouts)
    told = np.where(plain.group < 30, labels, -1).astype(np.int8)
    before = AnswerModel(prior).fit(plain, told).predict(plain)
    own.use_signals([f"{mine(SHOUTS)}:shouts"])
    features = Featurizer().features(rollouts)
    assert features.evidence_names[-1] == "own:shouts"
    assert features.signal("shouts").tolist() == [rollout.text.count("!") for rollout in rollouts]
    model = AnswerModel(prior).fit(features, told)
    state = model.domains["math"]
    names = columns_of(state.prior.signals)
    place = names.index("own:shouts")
    known = [names.index(name) for name in prior.domains["math"].signals]
    start = state.prior.weights
    assert start.mean[place] == start.mean[names.index(POOLED + "own:shouts")] == 0.0
    square = start.mean[known] ** 2 + np.diag(start.covariance)[known]
    assert start.covariance[place, place] == pytest.approx(square.mean())
    assert not start.covariance[place, known].any()
    assert state.posterior.mean[place] > 0.2, "labels say that who shouts is right"
    after = model.predict(features)
    held = told < 0
    with_it, without = (group_auc(each.value[held], labels[held], features.group[held]) for each in (after, before))
    assert with_it > without + 0.15
    model.save(tmp_path / "model.safetensors")
    again, _ = AnswerModel.load(tmp_path / "model.safetensors")
    assert again.predict(features).value == pytest.approx(after.value, abs=1e-6)
    own._SIGNALS.clear()
    with pytest.raises(ConfigurationError, match="own:shouts"):
        again.predict(Featurizer().features(rollouts))


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (
            "def s(rollouts):\n    return [1]\n",
            DataError,
            r"mine.py:s, asked .* of shape \(1,\) for 6",
        ),
        ("def s(rollouts):\n    return ['a'] * len(rollouts)\n", DataError, "one number a rollout"),
        (
            "def s(rollouts):\n    return rollouts[0].nothing\n",
            ConfigurationError,
            "on question 's0' in .*mine.py, line 2",
        ),
        ("s = 3\n", ConfigurationError, "not a function"),
        ("class s:\n    pass\n", ConfigurationError, "not a function"),
    ],
)
def test_a_signal_that_goes_wrong_names_its_file_and_the_question(mine, body, error, said) -> None:
    file = mine(body)

    def use() -> None:
        own.use_signals([f"{file}:s"])
        Featurizer().features([rollout for group in sums(3) for rollout in group.rollouts])

    with pytest.raises(error, match=said):
        use()


def test_a_signal_sees_one_question_at_a_time_and_may_be_undefined(mine) -> None:
    body = (
        "def s(rollouts):\n    assert len({r.query.id for r in rollouts}) == 1\n    return [None, 1e999, *range(4)]\n"
    )
    own.use_signals([f"{mine(body)}:s"])
    rollouts = [rollout for pair in zip(*(group.rollouts for group in sums(2)), strict=True) for rollout in pair]
    values = Featurizer().features(rollouts).signal("s")
    assert np.isnan(values[:4]).all()
    assert values[4:].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
