"""The summary that `memreward evaluate` prints, and its files for other programs and for papers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping

import pytest

from memreward.cli.evaluate import _show
from memreward.cli.output import Output, elided
from memreward.evaluation.export import as_csv, as_latex, as_timings
from memreward.evaluation.results import EvaluationResult, Row
from memreward.evaluation.summary import summary
from memreward.evaluation.tables import Figure

Differences = Mapping[str, tuple[float, float, float]]
METRICS = ("auc", "group_auc", "accuracy", "ece", "best_of_n", "oracle_of_n")
METRICS += ("advantage_cosine", "coverage")


@pytest.fixture
def made() -> Callable[..., EvaluationResult]:
    """A result of two budgets in which `memreward` is ahead without labels and behind with five."""

    def make(*files: str, predictors: tuple[str, ...] = ("memreward", "majority"), mean: bool = False):
        rows = [
            _row(file, labels, name, (0.02, 0.01, 0.03) if not labels else (-0.02, -0.03, -0.01))
            for file in (*files, *(("mean",) if mean else ()))
            for labels in (0.0, 5.0)
            for name in predictors
        ]
        config = {"references": ["majority"], "predictors": list(predictors), "seeds": [0], "resamples": 10}
        return EvaluationResult(config, {}, {file: {} for file in files}, (), tuple(rows))

    return make


def _row(file: str, labels: float, name: str, difference: tuple[float, float, float]) -> Row:
    figures = dict.fromkeys(METRICS, Figure(0.7, 0.6, 0.8))
    zero = Figure(0.0, 0.0, 0.0)
    own = (
        dict.fromkeys(METRICS, zero)
        if name == "majority"
        else dict.fromkeys(METRICS, zero) | {"group_auc": Figure(*difference)}
    )
    return Row(file, labels, name, figures, {"majority": own}, seconds=(0.5,))


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The lines that the command prints of a result, on a terminal of some columns."""

    def lines(result: EvaluationResult, width: int = 80) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("memreward.cli.output.Console.is_terminal", True)
        _show(Output(False), result, [], full=False)
        return re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()

    return lines


@pytest.mark.parametrize("width", [200, 80, 72, 60, 40, 36])
def test_no_line_is_wider_than_the_terminal(made, printed, width: int) -> None:
    files = ("short", "a_name_that_is_much_too_long_to_stand_on_a_line_of_eighty_characters.v2")
    others = ("memreward", "majority", "another_predictor_of_mine", "third")
    lines = printed(made(*files, predictors=others, mean=True), width)
    assert max(map(len, lines)) <= width
    assert any("short" in line for line in lines)
    assert any("BEHIND" in line for line in lines)


def test_each_file_and_budget_has_a_line_and_a_mark_where_it_loses(made, printed) -> None:
    lines = [line.strip() for line in printed(made("one", "two", mean=True))]
    head = next(place for place, line in enumerate(lines) if line.startswith("file"))
    assert lines[head].split() == ["file", "labels", "majority", "memreward", "difference"]
    table = [line.split() for line in lines[head + 2 : head + 8]]
    assert table[0] == ["one", "0", "0.700", "0.700", "+0.020", "[+0.010,", "+0.030]", "ahead"]
    assert table[1] == ["5", "0.700", "0.700", "-0.020", "[-0.030,", "-0.010]", "BEHIND"]
    assert [line[0] for line in table[2::2]] == ["two", "mean"]
    assert "ahead of majority in 2 of 4, behind in 2" in " ".join(lines), "the mean is no file"
    assert "- one, 5 queries, group AUC: -0.020 [-0.030, -0.010]" in lines


def test_the_first_that_is_no_reference_leads_and_the_others_stand_below(made) -> None:
    (first, below), _ = summary(made("one", predictors=("mine", "majority", "memreward")))
    assert first.title.startswith("group AUC, mine against majority")
    assert below.rows == (("one", "mine", "+0.020*", "-0.020*"), ("", "memreward", "+0.020*", "-0.020*"))


def test_many_losses_are_counted(made) -> None:
    _, said = summary(made(*"abcdefghi"))
    assert sum(line.startswith("- ") for line in said) == 7
    assert said[-1] == "- 3 more: --full shows all."


def test_names_lose_their_middle() -> None:
    assert elided("abcdefghij", 5) == "ab…ij"
    assert elided("abc", 3) == "abc"


def test_a_csv_row_a_file_budget_predictor_and_metric(made) -> None:
    result = made("one, with a comma", mean=True)
    rows = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert len(rows) == 2 * 2 * 2 * len(METRICS)
    found = next(row for row in rows if row["metric"] == "group_auc" and row["labels"] == "5")
    assert (found["file"], found["predictor"]) == ("one, with a comma", "memreward")
    assert [found[name] for name in ("value", "low", "high")] == ["0.7", "0.6", "0.8"]
    assert [found[f"majority_{part}"] for part in ("difference", "low", "high")] == ["-0.02", "-0.03", "-0.01"]
    assert as_timings(result).splitlines()[1] == '"one, with a comma",0,memreward,0,0.5'


def test_latex_tables_are_bold_only_where_the_paired_interval_leaves_out_0(made) -> None:
    text = as_latex(made("a_b & c", mean=True))
    tables = text.split("\\begin{table}")[1:]
    assert len(tables) == 4 * 2
    first = tables[0]
    assert "a\\_b \\& c" in first
    assert "memreward & \\textbf{0.700} & \\textbf{0.700} \\\\" in first
    assert "majority & 0.700 & 0.700 \\\\" in first
    assert "textbf" not in tables[1], "behind is not bold"
    many = as_latex(made(*"abcdef")).split("\\begin{table}")[1]
    assert re.search(r"file & memreward & majority", many), "more files than predictors go down the page"
