import math
import re
from dataclasses import replace

import pytest
from matplotlib.figure import Figure as Canvas

from memreward.evaluation import report
from memreward.evaluation.baselines import BASELINES
from memreward.evaluation.page import LIGHT
from memreward.evaluation.protocol import EvaluationConfig, evaluate
from memreward.evaluation.report import COLOURS, drawn_predictors, write_page, write_picture
from memreward.evaluation.results import Row
from memreward.evaluation.tables import Figure
from memreward.types import DataError

NAMES = ("majority", "logistic_evidence", "random")


@pytest.fixture(scope="module")
def result(groups, new_featurizer):
    files = {"one <file>": groups(prefix="a"), "single": groups(prefix="b", sizes=(1,))}
    settings = EvaluationConfig(labels=(0.3, 0.6), seeds=1, resamples=30, workers=1)
    return evaluate(files, {name: BASELINES[name] for name in NAMES}, new_featurizer(), settings)


@pytest.mark.slow
def test_the_picture_is_a_png_for_one_and_for_several_shares(result, tmp_path):
    one_share = replace(result, rows=tuple(row for row in result.rows if row.labels == 0.3))
    for number, shown in enumerate((result, one_share)):
        path = tmp_path / f"{number}.png"
        write_picture(shown, path)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 30_000


def test_the_page_holds_every_figure_and_loads_nothing(result, tmp_path):
    write_page(result, tmp_path / "page.html", title="Tom & Jerry")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>Tom &amp; Jerry</h1>" in page
    assert "one &lt;file&gt;" in page
    assert "<file>" not in page
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert "://" not in without_pictures
    assert not re.search(r"<(script|link|iframe)|@import|url\(", without_pictures)
    assert page.count("<svg ") == page.count('role="img" aria-label="') == 3 * len(result.files)
    assert page.count('class="tip"') == page.count("<title>") - 1 > 0, "each point tells its value"
    assert page.count('class="plot"') == sum(
        row.predictor != "majority"
        and row.predictor == "logistic_evidence"
        and not math.isnan(row.figures["group_auc"].value)
        for row in result.rows
    )
    assert "orders the rollouts of a question surely better than majority in" in page[: page.index("<main>")]
    assert "$" not in without_pictures
    for table in result.tables():
        assert all(re.search(f"<(td|strong)>{re.escape(cell)}<", page) for row in table.rows for cell in row[1:])
    for anchor in re.findall(r'href="#([\w-]+)"', page):
        assert f'id="{anchor}"' in page


def test_the_references_are_drawn_and_never_more_lines_than_colours(result):
    assert drawn_predictors(result) == list(NAMES)
    many = [replace(row, predictor=f"p{i}") for i in range(12) for row in result.rows if row.predictor == "random"]
    shown = drawn_predictors(replace(result, rows=(*many, *result.rows)))
    assert len(shown) == len(COLOURS)
    assert "majority" in shown


def test_nothing_to_draw_is_said(result, tmp_path):
    with pytest.raises(DataError, match="no rows"):
        write_picture(replace(result, rows=()), tmp_path / "none.png")


def test_a_curve_over_budgets_begins_at_no_label_and_the_other_panels_show_one_in_the_middle() -> None:
    rows = [
        Row("file", "", labels, "majority", {"group_auc": Figure(0.5 + labels / 100, 0.4, 0.9)}, {})
        for labels in (0.0, 5.0, 20.0, 50.0)
    ]
    axes = Canvas().subplots()
    report._draw_label_curve(axes, rows, ["majority"], LIGHT)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "5", "20", "50"]
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    assert [row.labels for row in report._at_share(rows)] == [20.0]
