"""The page on which people label: one question at a time, by single keys, rendered here and served on loopback."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool

from memreward.label import render
from memreward.label.queue import REASONS, AnswerSeen, Task
from memreward.label.session import Labelling
from memreward.label.view import answer_text, outcome, rollouts_of, shown
from memreward.memory.labelling import BROKEN, DECIDED, SKIPPED
from memreward.service.token import given_token, same_token
from memreward.types import BudgetError, DataError, MemRewardError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing runs and nothing is fetched but what this application serves."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_COOKIE, _NAME_COOKIE = "memreward-token", "memreward-annotator"
_LARGEST_BODY = 65_536
_LONGEST_NAME = 60
_OTHERS_SHOWN = 20
_UNDONE = {DECIDED: "Your last judgement", SKIPPED: "Your skipping", BROKEN: "Your flag"}

Form = Mapping[str, list[str]]


def create_page(labelling: Labelling, *, token: str = "", annotator: str = "") -> FastAPI:
    """Return the application; mount it where a service runs, or serve it alone.

    Whoever comes must give the token, in the address once (`?token=`) or as a bearer's; "" lets everybody in. Who gives
    no name (`?annotator=`) has that of `annotator`; "" makes one up for each browser.
    """
    app = FastAPI(title="memreward label", docs_url=None, redoc_url=None, openapi_url=None)
    page = _Page(labelling, annotator, token)
    app.mount("/static", StaticFiles(directory=str(files("memreward.label") / "static")), name="static")

    @app.middleware("http")
    async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await _refused(request, token) or await call_next(request)
        response.headers.update(HEADERS)
        if not request.url.path.endswith((".woff2", ".js", ".css")):
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.exception_handler(MemRewardError)
    async def failed(request: Request, error: MemRewardError) -> Response:  # noqa: ARG001
        return PlainTextResponse(str(error), 409 if isinstance(error, BudgetError | DataError) else 500)

    for path, answer in (("/", page.whole), ("/task", page.task), ("/progress", page.progress)):
        app.get(path)(answer)
    app.get("/solutions")(page.solutions)

    @app.post("/{action}")
    async def act(request: Request, action: str) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        return await run_in_threadpool(page.act, request, action, form)

    return app


class _Page:
    def __init__(self, labelling: Labelling, annotator: str, token: str) -> None:
        self.labelling, self.annotator, self.token = labelling, annotator, token
        self._since: dict[tuple[str, str], float] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._templates = Environment(
            loader=PackageLoader("memreward.label"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters.update(prose=render.prose, raw=render.raw, answer=render.answer, name=_written)
        self._templates.globals.update(reasons=REASONS)

    def name(self, request: Request) -> str:
        given = unquote(request.cookies.get(_NAME_COOKIE, "")) or self.annotator
        return given[:_LONGEST_NAME] or f"annotator-{secrets.token_hex(3)}"

    def whole(self, request: Request) -> Response:
        if "token" in request.query_params or "annotator" in request.query_params:
            return _entered(request, self.token)
        name, root = self.name(request), request.scope.get("root_path", "")
        html = self._render("page.html", name, request, root=root, progress=self.labelling.progress())
        response = HTMLResponse(html)
        response.set_cookie(_NAME_COOKIE, quote(name), httponly=True, samesite="strict")
        return response

    def task(self, request: Request) -> Response:
        return HTMLResponse(self._render("task.html", self.name(request), request))

    def progress(self, request: Request) -> Response:
        self.labelling.settled()
        template = self._templates.get_template("progress.html")
        return HTMLResponse(template.render(progress=self.labelling.progress(), name=self.name(request)))

    def solutions(self, query_id: str, answer: str) -> Response:
        found = self.labelling.answer(_read(query_id), _read(answer))
        texts = [rollout.text for rollout in rollouts_of(self.labelling, found)[:_OTHERS_SHOWN]]
        return HTMLResponse(self._templates.get_template("solutions.html").render(texts=texts))

    def act(self, request: Request, action: str, form: Form) -> Response:
        name, query_id = self.name(request), _read(_one(form, "query_id"))
        last: dict[str, Any] = {}
        match action:
            case "decide":
                last = {"said": "Kept.", "outcome": self._decided(name, query_id, form)}
            case "skip":
                self.labelling.skip(name, query_id, _one(form, "reason") or REASONS[0])
                last["said"] = "Skipped. It will not be put to you again."
            case "flag":
                self.labelling.flag(name, query_id)
                last["said"] = "Flagged as broken. Nobody is asked it, and nothing is learned from it."
            case "undo":
                undone = self.labelling.undo(name)
                last["said"] = (
                    f"{_UNDONE[undone.kind]} is undone." if undone else "There is nothing of yours to take back."
                )
            case "reference":
                last["reference"] = reference = self.labelling.reference(query_id)
                opened = "The reference was opened, and the ledger says so:"
                last["said"] = "This question has no reference." if reference is None else opened
            case "open":
                if self.labelling.open(name, query_id) is None:
                    last["said"] = "Somebody else has that question open now."
            case _:
                return PlainTextResponse("no such action", 404)
        self._last[name] = last
        if request.headers.get("x-fragment"):
            return HTMLResponse(self._render("task.html", name, request))
        return RedirectResponse(f"{request.scope.get('root_path', '')}/", 303)

    def _decided(self, name: str, query_id: str, form: Form) -> list[tuple[str, AnswerSeen]]:
        right = [self.labelling.answer(query_id, _read(key)) for key in form.get("right", ()) if key]
        asked = self.labelling.answer(query_id, _read(key)) if (key := _one(form, "asked")) else -1
        if asked < 0 and not right and "none" not in form:
            raise DataError("nothing was marked: mark an answer, or say that none is right")
        seconds = time.monotonic() - self._since.pop((name, query_id), time.monotonic())
        seen = self.labelling.decide(name, query_id, right, asked=asked, seconds=seconds)
        return outcome(self.labelling, query_id, seen)

    def _render(self, template: str, name: str, request: Request, **more: Any) -> str:
        task = self.labelling.next(name)
        last, wanted = self._last.pop(name, {}), request.query_params
        if task is not None:
            self._since.setdefault((name, task.query_id), time.monotonic())
            if "whole" in wanted:
                task = task._replace(kind="whole", asked=-1)
            if "several" in wanted:
                task = task._replace(kind="whole", asked=-1, several=True)
        return self._templates.get_template(template).render(
            name=name,
            shown=None if task is None else shown(self.labelling, task),
            said=last.get("said", ""),
            reference=last.get("reference"),
            outcome=last.get("outcome", ()),
            before=self._before(task),
            **more,
        )

    def _before(self, task: Task | None) -> list[tuple[str, list[str]]]:
        if task is None or not task.settles:
            return []
        by_rollout = {rollout.id: rollout for rollout in self.labelling.pool.groups[task.query_id].rollouts}
        said = self.labelling.said(task.query_id)
        right = [[key for key, verdict in event.data["verdicts"].items() if verdict] for event in said]
        return [
            (event.annotator, [answer_text(by_rollout[key], {}) for key in keys if key in by_rollout])
            for event, keys in zip(said, right, strict=True)
        ]


async def _refused(request: Request, token: str) -> Response | None:
    """Refuse whoever has no token, and what another site makes a browser send."""
    elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if elsewhere and request.method not in ("GET", "HEAD"):
        return PlainTextResponse("this page answers only to itself", 403)
    if int(request.headers.get("content-length") or 0) > _LARGEST_BODY:
        return PlainTextResponse("too large", 413)
    given = (
        request.query_params.get("token", "").encode(),
        request.cookies.get(_COOKIE, "").encode(),
        given_token(request.scope["headers"]),
    )
    if token and not any(same_token(each, token) for each in given):
        return PlainTextResponse("open the address that memreward label printed: it holds the token", 401)
    return None


def _entered(request: Request, token: str) -> Response:
    """Keep token and name in cookies, and take them out of the address."""
    rest = {k: v for k, v in request.query_params.items() if k not in ("token", "annotator")}
    root = request.scope.get("root_path", "")
    response = RedirectResponse(f"{root}/{'?' + urlencode(rest) if rest else ''}", 303)
    if token:
        response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
    if name := request.query_params.get("annotator", "")[:_LONGEST_NAME]:
        response.set_cookie(_NAME_COOKIE, quote(name), httponly=True, samesite="strict")
    return response


def _one(form: Form, key: str) -> str:
    return (form.get(key) or [""])[-1]


def _written(text: str) -> str:
    """An id as a form can hold it: ids may have line breaks, which forms change, and lone surrogates."""
    return quote(text, safe="/:@ ", errors="surrogatepass")


def _read(text: str) -> str:
    return unquote(text, errors="surrogatepass")
