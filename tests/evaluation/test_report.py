import math
import re
from dataclasses import replace

import pytest

from memreward.evaluation.baselines import BASELINES
from memreward.evaluation.protocol import EvaluationConfig, evaluate
from memreward.evaluation.report import MOST_DRAWN, drawn_predictors, nice_ticks, write_page
from rows import each_row

NAMES = ("majority", "label_model", "random")


@pytest.fixture(scope="module")
def result(groups, new_featurizer):
    files = {"one <file>": groups(prefix="a"), "single": groups(prefix="b", sizes=(1,))}
    settings = EvaluationConfig(labels=("0.3", "0.6"), seeds=1)
    return evaluate(files, {name: BASELINES[name] for name in NAMES}, new_featurizer(), settings)


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
    assert page.count('<td class="plot"') == sum(
        row.predictor != "majority"
        and row.predictor == "label_model"
        and not math.isnan(row.figures["group_auc"].value)
        for row in result.rows
    )
    above = page[: page.index("<main>")]
    assert "orders the rollouts of a question surely better than majority in" in above
    assert "Over all files, by labelled questions: " in above
    assert "$" not in without_pictures
    for table in result.tables():
        assert all(re.search(f"<(td|strong)>{re.escape(cell)}<", page) for row in table.rows for cell in row[1:])
    for anchor in re.findall(r'href="#([\w-]+)"', page):
        assert f'id="{anchor}"' in page


def test_the_references_are_drawn_and_never_more_lines_than_colours(result):
    assert drawn_predictors(result) == list(NAMES)
    many = [replace(row, predictor=f"p{i}") for i in range(12) for row in result.rows if row.predictor == "random"]
    shown = drawn_predictors(replace(result, rows=(*many, *result.rows)))
    assert len(shown) == MOST_DRAWN
    assert "majority" in shown


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.753, 0.802, [0.76, 0.78, 0.8]), (0.0, 1.0, [0, 0.5, 1]), (-0.037, 0.037, [-0.02, 0, 0.02])],
)
def test_axes_have_round_numbers_between_their_ends(low, high, ticks):
    assert nice_ticks(low, high, 4) == ticks


@each_row("span", [0.0011, 0.046, 0.054, 0.24, 0.99, 3.0])
def test_every_axis_has_a_scale(span):
    """One number alone says nothing of what the others are."""
    assert len(nice_ticks(-span, span, 5)) >= 3
    assert all(len(nice_ticks(low, low + span, 5)) >= 2 for low in (0.013, 0.5, 0.755, 0.799))
