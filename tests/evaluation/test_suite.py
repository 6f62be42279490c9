"""The fixed protocol, its leaderboard, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from memreward.evaluation import suite
from memreward.evaluation.baselines import BASELINES
from memreward.evaluation.protocol import evaluate
from memreward.evaluation.suite import leaderboard, submitted, suited
from memreward.types import ConfigurationError, LabelError


class Oracle:
    """Knows: the answer 0 is right."""

    name = "oracle"

    def predict(self, features):
        return (features.signal("hint") > 0.7).astype(float) * 0.98 + 0.01


class Silent(Oracle):
    def fit(self, features, labels):
        raise LabelError("nothing to say")


@pytest.fixture(scope="module")
def found(groups, new_featurizer):
    files = {"b": groups(110, prefix="b"), "a": groups(110, seed=1, prefix="a"), "small": groups(20, prefix="s")}
    kept, left_out = suited(files)
    assert (list(kept), left_out) == (["a", "b"], ["small"])
    chosen = {"silent": Silent, "oracle": Oracle, "majority": BASELINES["majority"]}
    config = replace(suite.CONFIG, seeds=2)
    result = evaluate(kept, chosen, new_featurizer(), config)
    return submitted(result, kept), kept


def test_the_leaderboard_ranks_by_the_advantage_cosine_and_marks_what_is_sure(found) -> None:
    result, _ = found
    about, (board,) = leaderboard(result)
    assert about[0].startswith("memreward-suite-1, sources ")
    assert board.columns[:3] == ("", "predictor", "cos 0")
    assert [row[1] for row in board.rows] == ["oracle", "majority", "silent"]
    assert all(cell.endswith("+") for cell in board.rows[0][2:6]), "the cosine, at every budget"
    cosine = result.row("mean", "majority", labels=0).figures["advantage_cosine"].value
    assert board.rows[1][2] == f"{cosine:.3f}"[1:]
    assert set(board.rows[2][2:]) == {"–"}, "what was never fitted has no figure"


def test_the_sources_are_part_of_the_result(found, groups) -> None:
    result, kept = found
    assert result.config["suite"] == suite.VERSION
    again = submitted(result, dict(reversed(list(kept.items()))))
    assert again.config["sources"] != result.config["sources"] == submitted(result, kept).config["sources"]
    changed = {**kept, "a": kept["a"][1:]}
    assert submitted(result, changed).config["sources"] != result.config["sources"]


def test_too_few_questions_are_refused(groups) -> None:
    with pytest.raises(ConfigurationError, match="at least 100 judged questions"):
        suited({"small": groups(20)})


@pytest.mark.usefixtures("one_core")
@pytest.mark.slow
def test_the_protocol_is_fixed_and_a_judge_is_a_column(tmp_path) -> None:
    from typer.testing import CliRunner

    from memreward.cli import app

    lines = []
    for number in range(120):
        said = [number % 3 == k % 3 for k in range(4)]
        rollouts = [
            {"text": f"The answer is {7 if ok else 8}.", "correct": ok, "ok": int(ok)} for k, ok in enumerate(said)
        ]
        lines.append(json.dumps({"id": f"q{number}", "domain": "math", "query": f"{number}?", "rollouts": rollouts}))
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "sums.jsonl").write_text("\n".join(lines) + "\n")

    def run(*more):
        return CliRunner().invoke(app, ["evaluate", str(folder), "--suite", "--out", str(tmp_path / "o"), *more])

    refused = run("--seeds", "9", "--labels", "3")
    assert refused.exit_code == 1
    assert "leave --labels, --seeds away" in refused.stderr
    done = run("--judge", "ok")
    assert done.exit_code == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    first = next(line for line in done.stdout.splitlines() if line.strip().startswith("1 ")).split()
    assert first[1:3] == ["judge", "1.000+"]
    assert f"| {' | '.join(first)} |" in (tmp_path / "o" / "evaluation.md").read_text()
