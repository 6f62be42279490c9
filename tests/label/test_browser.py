"""A person's whole session in a real browser: `make test-label` installs what it needs besides Debian's chromium."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from label_toys import answer_of, group, groups, labelling, truth

from memreward.label.session import Labelling

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make test-label installs it")
uvicorn = pytest.importorskip("uvicorn", reason="the page needs the extra label")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
    # playwright and uvicorn leave sockets to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
PICTURES = os.environ.get("LABEL_PICTURES")
"""Folder in which to leave screenshots to be looked at."""
SLOW = 60_000
HOSTILE = (
    "<script>document.title='won'</script><img src=x onerror=\"document.title='won'\"> \\(\\href{javascript:"
    "document.title='won'}{x}\\) $\\includegraphics{https://example.com/a.png}$ "
    "\\(\\def\\a{\\a\\a}\\a\\) \\(\\rule{9999em}{9999em}\\) </pre></details></article>\n#### 4"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # A container's root has no user namespaces for chromium's own sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Labelling], str]]:
    """Serves a labelling on loopback for as long as a test runs."""
    from memreward.label.page import create_page

    servers = []

    def begin(session: Labelling) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_page(session, token="t" * 16), log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield begin
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=30)


class Person:
    """Somebody at a browser; requests that leave the machine, errors and blocked things are noted."""

    def __init__(self, chromium: Any, address: str, name: str, **screen: Any) -> None:
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **screen})
        self.page = self.context.new_page()
        self.page.set_default_timeout(SLOW)
        self.wrong: list[str] = []
        self.page.on("request", lambda r: None if r.url.startswith((address, "data:")) else self.wrong.append(r.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.goto(f"{address}/?token={'t' * 16}&annotator={name}")
        self.page.wait_for_function("() => globalThis.katex !== undefined")

    def press(self, key: str) -> None:
        """Press a key and wait for the next question."""
        old = self.page.query_selector("#task")
        self.page.keyboard.press(key)
        self.page.wait_for_function("old => document.querySelector('#task') !== old", arg=old)
        self.page.wait_for_function("() => !document.querySelector('#task').hasAttribute('aria-busy')")

    def question(self) -> str:
        return str(self.page.input_value("#decide [name=query_id]"))

    def text(self, selector: str = "#task") -> str:
        return str(self.page.inner_text(selector))

    def picture(self, name: str, *, full: bool = False) -> None:
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=full)

    def leave(self) -> None:
        self.context.close()
        assert self.wrong == []


def key_of_the_truth(session: Labelling, person: Person) -> str:
    """The digit of the right answer among all that are shown."""
    right = answer_of(session, person.question(), truth(person.question()))
    return str(person.page.get_attribute(f"#decide [name=right][value='{session.key(right)}']", "data-key"))


def test_a_whole_session_by_keyboard(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    session = labelling(groups(), ask="whole", twice=0.0)
    ann = Person(chromium, serve(session), "ann")
    asked = []
    for _ in range(3):
        asked.append(ann.question())
        ann.press(key_of_the_truth(session, ann))
        assert session.door.labels()[f"{asked[-1]}/0"] is True
    assert "Kept." in ann.text()
    assert "of 6 rollouts" in ann.text()
    ann.page.wait_for_function("() => document.querySelector('#progress').innerText.includes('3 questions labelled')")

    ann.press("u")
    assert "undone" in ann.text()
    assert ann.question() == asked[-1]
    assert not [key for key in session.door.labels() if key.startswith(f"{asked[-1]}/")]
    ann.press("0")
    assert [v for k, v in session.door.labels().items() if k.startswith(f"{asked[-1]}/")] == [False] * 6

    skipped = ann.question()
    ann.page.keyboard.press("s")
    ann.page.keyboard.press("5")  # no reason has this number: nothing happens
    assert ann.question() == skipped
    ann.press("1")
    last = session.journal.events()[-1]
    assert (last.query_id, last.data["reason"]) == (skipped, "I cannot tell")
    broken = ann.question()
    ann.press("b")
    assert session.broken() == {broken}

    ann.page.keyboard.press("?")
    assert ann.page.is_visible("#help")
    ann.page.keyboard.press("1")
    assert len(session.journal.events()) == 5, "keys do nothing while the help is open"
    ann.page.keyboard.press("Escape")
    waiting = ann.question()
    ann.page.reload()
    assert ann.question() == waiting
    assert ann.page.evaluate("document.activeElement.tagName") == "H1"
    ann.leave()


def test_is_this_answer_right(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    session = labelling(groups(), ask="one", twice=0.0)
    ann = Person(chromium, serve(session), "ann")
    first = ann.question()
    asked = session.answer(first, ann.page.input_value("#decide [name=asked]"))
    ann.press("n")
    assert session.said(first)[0].data["kind"] == "one"
    assert set(session.door.labels().values()) == {False}
    ann.press("u")
    assert ann.question() == first
    ann.press("w") if ann.page.query_selector("[data-key=w]") else None
    assert len(ann.page.query_selector_all(".answers > li")) == len(session.answers(first))
    ann.press("m")
    right = answer_of(session, first, truth(first))
    for answer in {asked, right}:
        ann.page.keyboard.press(str(ann.page.get_attribute(f"#decide [value='{session.key(answer)}']", "data-key")))
    ann.press("Enter")
    verdicts = session.said(first)[0].data["verdicts"]
    assert sum(verdicts.values()) == len({asked, right})
    ann.leave()


def test_two_people_are_never_asked_the_same_and_a_share_is_judged_twice(
    chromium: Any, serve: Callable[[Labelling], str]
) -> None:
    session = labelling(groups(), ask="whole", twice=1.0)
    address = serve(session)
    ann, bob = Person(chromium, address, "ann"), Person(chromium, address, "bob")
    first, second = ann.question(), bob.question()
    assert first != second
    ann.press(key_of_the_truth(session, ann))
    bob.press("0")
    assert bob.question() == first
    assert "ann" not in bob.text()
    assert "believed" not in bob.text(".question") + bob.text(".answers")
    bob.press("0")
    bob.page.wait_for_selector("#progress button")
    old = bob.page.query_selector("#task")
    bob.page.click("#progress button")
    bob.page.wait_for_function("old => document.querySelector('#task') !== old", arg=old)
    assert bob.question() == first
    assert "Two people disagree" in bob.text()
    bob.press(key_of_the_truth(session, bob))
    assert session.progress().disputed == ()
    ann.leave()
    bob.leave()


def test_nothing_that_a_model_wrote_runs_or_fetches(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    session = labelling([group("q0", HOSTILE, [HOSTILE, "4", "5"])], ask="whole")
    ann = Person(chromium, serve(session), "ann")
    ann.page.keyboard.press("o")
    assert ann.page.title() != "won"
    assert ann.page.query_selector("#task script, #task img, #task a[href^='javascript']") is None
    assert "<script>" in ann.text()
    assert ann.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ann.page.keyboard.press("r")
    assert ann.page.is_visible(".raw")
    assert not ann.page.is_visible(".rendered")
    ann.leave()


def test_mathematics_is_typeset_and_its_source_a_key_away(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    text = "What is \\(\\int_0^1 x^2\\,dx\\)? It costs $5 or $6.\n\\[\\sum_{n=1}^\\infty \\frac{1}{n^2}\\]"
    session = labelling([group("q0", text, ["\\frac{1}{3}", "\\frac{1}{3}", "\\frac{1}{2}", "\\undefined{"])])
    ann = Person(chromium, serve(session), "ann")
    ann.page.wait_for_selector(".question .katex-display")
    assert len(ann.page.query_selector_all(".question .katex math")) == 2, "MathML for screen readers"
    assert "It costs $5 or $6." in ann.text(".question")
    ann.picture("mathematics")
    ann.page.keyboard.press("r")
    assert "\\int_0^1 x^2" in ann.text(".question")
    ann.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_phones_width_and_the_dark_are_whole_and_accessible(
    chromium: Any, serve: Callable[[Labelling], str], width: int, scheme: str
) -> None:
    long = "a" * 300 + " " + "word " * 300
    code = [
        "```python\n# add\ndef f(x):\n    return x + 1  " + "# long " * 30 + "\n```",
        "```python\ndef f(x): pass\n```",
    ]
    session = labelling([*groups(), group("z", long, ["1", "2", "2"]), group("c", "Write f.", code, domain="code")])
    screen = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    ann = Person(chromium, serve(session), "ann", **screen)
    for query_id in ("q0", "z", "c"):
        session.open("ann", query_id)
        ann.page.reload()
        ann.page.wait_for_function("() => globalThis.katex !== undefined")
        ann.page.keyboard.press("o")
        assert ann.question() == query_id
        assert ann.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), query_id
        ann.picture(f"{query_id}-{width}-{scheme}", full=True)
        assert violations(ann.page) == []
    ann.press("0")
    ann.page.wait_for_timeout(100)
    assert violations(ann.page) == []
    light = ann.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    ann.leave()


def violations(page: Any) -> list[str]:
    """What axe finds wrong; none where axe is not installed."""
    axe = pytest.importorskip("axe_playwright_python", reason="no axe: make test-label installs it")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{v['id']}: {n['html'][:150]} {n['failureSummary'][:200]}" for v in found for n in v["nodes"]]


def test_a_server_that_went_away_is_said(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    session = labelling(groups(), ask="whole")
    ann = Person(chromium, serve(session), "ann")
    ann.context.set_offline(True)
    ann.page.keyboard.press("0")
    ann.page.wait_for_function("() => document.querySelector('#task').innerText.includes('cannot reach')")
    assert session.door.labels() == {}
    ann.context.set_offline(False)
    ann.press("0")
    assert session.door.labels()
    ann.context.close()


def test_a_key_brings_the_next_question_at_once(chromium: Any, serve: Callable[[Labelling], str]) -> None:
    """The page's own time is told beside the processor's: on a busy machine the clock says nothing."""
    session = labelling(groups(), ask="whole", twice=0.0, background=True)
    ann = Person(chromium, serve(session), "ann")
    took = []
    for _ in range(5):
        before = time.process_time()
        ann.press("0")
        took.append(time.process_time() - before)
    assert min(took) < 0.5
    ann.leave()
