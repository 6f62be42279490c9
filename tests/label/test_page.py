"""The page without a browser: who may come in, what is kept before the page says so, and that text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from label_toys import answer_of, group, groups, labelling, truth

from memreward.label import render
from memreward.label.session import Labelling

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TOKEN = "a-token-of-some-length"
HOSTILE = (
    "<script>document.title='won'</script><img src=x onerror=alert(1)> [[x]](javascript:alert(1)) $\\href{javascript:"
    "alert(1)}{x}$ </pre></details></article> &lt;b&gt; \u202egnp.exe\n```html\n<script>alert(2)</script>\n```\n#### 4"
)


@pytest.fixture
def session() -> Labelling:
    return labelling(groups(), twice=0.0)


def opened(session: Labelling, **more: str) -> TestClient:
    pytest.importorskip("fastapi", reason="the page needs the extra label")
    from starlette.testclient import TestClient

    from memreward.label.page import create_page

    return TestClient(create_page(session, **more), base_url="http://127.0.0.1")


@pytest.fixture
def page(session: Labelling) -> Iterator[TestClient]:
    with opened(session, token=TOKEN) as client:
        yield client


def entered(page: TestClient, name: str = "ann") -> str:
    return page.get("/", params={"token": TOKEN, "annotator": name}).text


def test_nobody_comes_in_without_the_token(page: TestClient) -> None:
    assert page.get("/").status_code == 401
    assert page.get("/", params={"token": "wrong"}).status_code == 401
    assert page.post("/undo").status_code == 401
    assert page.get("/static/label.js").status_code == 401
    assert page.get("/task", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_leaves_the_address_at_once(page: TestClient) -> None:
    first = page.get("/", params={"token": TOKEN, "annotator": "ann"}, follow_redirects=False)
    assert first.status_code == 303
    assert TOKEN not in first.headers["location"]
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert "<strong>ann</strong>" in page.get("/").text


def test_names_of_any_script_are_kept(page: TestClient) -> None:
    assert "<strong>Žofie &lt;3</strong>" in entered(page, "Žofie <3")


def test_another_site_cannot_make_a_browser_judge(page: TestClient, session: Labelling) -> None:
    entered(page)
    given = {"query_id": "q0", "none": "1"}
    refused = page.post("/decide", data=given, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    assert session.door.labels() == {}
    assert page.post("/decide", data=given, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert session.door.labels()


def test_every_reply_forbids_what_this_page_does_not_serve(page: TestClient) -> None:
    entered(page)
    for path in ("/", "/task", "/progress", "/static/label.js", "/nothing"):
        policy = page.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
    text = page.get("/").text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)
    assert not re.search(r"""<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=""", text)


def test_what_is_kept_is_in_the_ledger_before_the_page_says_so(page: TestClient, session: Labelling) -> None:
    entered(page)
    right = answer_of(session, "q2", truth("q2"))
    text = page.post("/decide", data={"query_id": "q2", "right": session.key(right)}, headers={"X-Fragment": "1"}).text
    assert "Kept." in text
    assert session.door.labels()["q2/0"] is True
    assert {event.annotator for event in session.said("q2")} == {"ann"}
    undone = page.post("/undo", headers={"X-Fragment": "1"}).text
    assert "is undone" in undone
    assert session.door.labels() == {}


def test_counts_and_beliefs_are_hidden_until_one_has_answered(page: TestClient, session: Labelling) -> None:
    assert "rollouts, believed" not in entered(page)
    task = session.next("ann")
    assert task is not None
    reply = page.post("/decide", data={"query_id": task.query_id, "asked": session.key(task.asked), "right": ""})
    assert "of 6 rollouts; the model believed" in reply.text


def test_a_page_works_by_its_forms_alone(page: TestClient, session: Labelling) -> None:
    text = entered(page)
    query_id = re.search(r'name="query_id" value="(q\d+)"', text)
    assert query_id
    assert 'action="decide"' in text
    reply = page.post("/skip", data={"query_id": query_id[1], "reason": "I cannot tell"})
    assert reply.url.path == "/"
    assert "Skipped" in reply.text
    assert (query_id[1], "ann") in session._stands.skips


def test_a_full_budget_is_said_and_nothing_entered(session: Labelling) -> None:
    full = labelling(groups(), questions=1)
    with opened(full) as page:
        assert page.post("/decide", data={"query_id": "q0", "none": "1"}).status_code == 200
        refused = page.post("/decide", data={"query_id": "q1", "none": "1"})
    assert refused.status_code == 409
    assert "budget" in refused.text
    assert not [key for key in full.door.labels() if key.startswith("q1/")]


def test_a_reference_is_shown_only_when_asked_for_and_is_then_in_the_ledger() -> None:
    given = [group("q0", "What?", ["4", "4", "5"], reference="a reference that is secret")]
    session = labelling(given)
    with opened(session) as page:
        assert "secret" not in page.get("/").text
        assert session.door._memory.ledger.entries() == []
        assert "secret" in page.post("/reference", data={"query_id": "q0"}, headers={"X-Fragment": "1"}).text
    entries = session.door._memory.ledger.entries()
    assert [(e.query_id, e.rollout_id) for e in entries] == [("q0", None)]


def test_what_a_model_wrote_stays_text() -> None:
    session = labelling([group("q0", HOSTILE, [HOSTILE, "4", "5"])])
    with opened(session) as page:
        text = page.get("/").text + page.get("/task?whole").text
        query = {"query_id": "q0", "answer": session.key(session.answers("q0")[0])}
        text += page.get("/solutions", params=query).text
    assert "won" in text
    assert "<script>document" not in text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "[U+202E]" in text


def test_odd_requests_are_refused_and_not_failures(page: TestClient, session: Labelling) -> None:
    entered(page)
    bodies: tuple[dict[str, str], ...] = (
        {},
        {"query_id": "q0"},
        {"query_id": "\ud800"},
        {"query_id": "q0", "right": "x" * 50},
        {"query_id": "q0", "asked": "99999"},
    )
    for path in ("/decide", "/skip", "/flag", "/reference", "/open", "/nothing"):
        for body in bodies:
            data = {key: value.encode("utf-8", "surrogatepass") for key, value in body.items()}
            assert page.post(path, data=data).status_code < 500, (path, body)
        assert not session.door.labels(), f"what says nothing enters nothing: {path}"
        assert page.post(path, content=b"\xff" * 100_000).status_code == 413, path


def test_questions_and_rollouts_of_any_name_can_be_judged() -> None:
    name = "odd \ud800\n<b> %41 ?&"
    session = labelling([group(name, "What?", ["4", "4", "5"])])
    with opened(session) as page:
        text = page.get("/task?whole").text
        query_id = re.search(r'name="query_id" value="([^"]*)"', text)
        right = re.search(r'name="right" value="([^"]*)"', text)
        assert query_id
        assert right
        reply = page.post("/decide", data={"query_id": query_id[1], "right": right[1]}, headers={"X-Fragment": "1"})
    assert "Kept." in reply.text
    assert sum(session.door.labels().values()) in (1, 2)


def test_mathematics_and_code_are_marked_and_prices_are_not() -> None:
    assert render.prose(r"so \(x^2\) and $y$") == ('so <span class="tex">x^2</span> and <span class="tex">y</span>')
    assert render.prose("\\[\\frac12\\]") == '<span class="tex display">\\frac12</span>'
    assert "tex" not in render.prose("It costs $5 and then $10, or $5-$10.")
    assert render.prose(r"\boxed{\frac{1}{2}}") == r'<span class="tex">\boxed{\frac{1}{2}}</span>'
    assert '<span class="k">def</span>' in render.prose("```python\ndef f(): pass\n```")
    assert render.answer(r"\frac{1}{2}", "math") == r'<span class="tex">\frac{1}{2}</span>'
    assert render.answer("12", "math") == "12"
    assert "<b>" not in render.code("<b>", "no such language")
    assert "more characters" in render.visible("x" * 30_000)
