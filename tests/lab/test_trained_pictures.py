import re
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from lab.arms import ARMS
from lab.trainings import drawing
from lab.trainings.drawing import DARK
from lab.trainings.measure import measure
from lab.trainings.outcome import FOREIGN, TEST, TrainingOutcome
from lab.trainings.pictures import drawings, picture_links, write_page, write_pictures
from lab.trainings.results import START

pytestmark = pytest.mark.slow

LINK = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def trained(arm, labels, seed, level, steps=6):
    """An arm that learns up to a level; all domains alike."""
    ids = {part: {f"{part}-{d}-{i}": level for d in ("math", "qa") for i in range(3)} for part in (TEST, FOREIGN)}
    domains = {query: query.split("-")[1] for own in ids.values() for query in own}
    points = [(step, 0.4 + (level - 0.4) * step / steps) for step in range(2, steps + 1, 2)]
    curve = [{"step": s, **{part: {"math": v, "qa": v} for part in (TEST, FOREIGN)}} for s, v in points]
    rewards = [{"step": s, "group_auc": level, "advantage_cosine": level, "reward_accuracy": level} for s, _ in points]
    started = arm == START
    return TrainingOutcome(arm, labels, seed, ids, domains, () if started else curve, () if started else rewards)


def experiment(shares, arms, level=lambda place: 0.6):
    found = []
    for place, arm in enumerate(arms):
        tied = arm in ARMS and ARMS[arm].labels == "share"
        for share in shares if tied else (0.0,):
            found += [trained(arm, share, seed, level(place) + 0.02 * seed) for seed in range(2)]
    return measure(found, config={"labels": shares, "grpo": {"steps": 6}}, versions={"python": "3.11"}, resamples=50)


@pytest.fixture(scope="module")
def result():
    return experiment((0.2, 0.7), [*ARMS, START], lambda place: 0.7 - 0.02 * place)


def draw(one, theme=DARK):
    figure = Figure(figsize=one.size, layout="constrained")
    one.draw(figure, theme)
    figure.draw_without_rendering()
    return figure


def test_pictures_and_links_to_them_agree(result, tmp_path):
    few = experiment((0.5,), ["oracle", "labelled", "memreward"])
    written = write_pictures(few, tmp_path / "pictures")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    linked = [Path(link) for text in picture_links(few, "pictures").values() for link in LINK.findall(text)]
    assert [tmp_path / link for link in linked] == written
    kinds = {one.name for one in drawings(result)}
    assert kinds == {
        *(f"{kind}_{share}" for kind in ("overview", "domains", "ablations", "reward") for share in (20, 70)),
        "labels",
    }


def test_names_beside_lines_that_end_alike_do_not_overlap():
    alike = experiment((0.2,), list(ARMS))
    for each in drawings(alike):
        figure = draw(each)
        names = [text for axes in figure.axes for text in axes.texts if text.get_text() in ARMS]
        # An annotation's own extent has its line in it, too.
        boxes = [Text.get_window_extent(text) for text in names]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2)), each.name
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes), each.name
        assert bool(names) == each.name.startswith(("overview", "ablations"))


def test_every_arm_is_named_where_it_is_drawn(result):
    looked_at = "overview_20", "domains_20", "labels"
    by_name = {one.name: draw(one) for one in drawings(result) if one.name in looked_at}
    bars = by_name["overview_20"].axes[1]
    assert {label.get_text() for label in bars.get_yticklabels()} == set(ARMS)
    lines, shares = by_name["overview_20"].axes[0], by_name["labels"].axes[0]
    for axes in (lines, shares):
        drawn = {line.get_label() for line in axes.get_lines() if not line.get_label().startswith("_")}
        assert drawn == {text.get_text() for text in axes.texts}
        assert {"oracle", "labelled", "memreward", "paper", "majority+labels", "random"} <= drawn
    (legend,) = by_name["domains_20"].legends
    assert {text.get_text() for text in legend.get_texts()} >= {"oracle", "memreward", "format"}


def test_lines_begin_with_the_policy_before_training(result):
    (overview,) = (one for one in drawings(result) if one.name == "overview_20")
    before = result.row(START, 0.2).accuracy[TEST]["mean"].value
    lines = [line for line in draw(overview).axes[0].get_lines() if line.get_label() in ARMS]
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in lines} == {(0, before)}


def test_without_the_ends_of_the_gap_there_are_pictures_all_the_same(tmp_path, monkeypatch):
    few = experiment((0.2,), ["memreward", "majority"])
    (overview, *_) = drawings(few)
    assert "accuracy" in draw(overview).axes[1].get_xlabel()
    monkeypatch.setattr(drawing, "picture", lambda *_: b"")
    write_page(few, tmp_path / "page.html")
    assert "No gap is measured" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_holds_every_figure_and_loads_nothing(tmp_path):
    shown = experiment((0.2,), ["oracle", "labelled", "memreward"], lambda place: 0.7 - 0.1 * place)
    write_page(shown, tmp_path / "page.html", title="Tom & Jerry")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert "<h1>Tom &amp; Jerry</h1>" in page
    assert "://" not in without_pictures
    assert "$" not in without_pictures
    assert not re.search(r"<(script|link|iframe)|@import|url\(", without_pictures)
    assert page.count("data:image/png;base64,") == 2 * len(drawings(shown))
    for table in shown.tables(0.2):
        assert all(re.search(rf"<(td[^>]*|strong)>{re.escape(cell)}<", page) for row in table.rows for cell in row[1:])
    for anchor in re.findall(r'href="#([\w-]+)"', page):
        assert f'id="{anchor}"' in page
