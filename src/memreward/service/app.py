"""The service's pages: the group store over HTTP."""

import asyncio
import contextlib
import json
import logging
import math
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from memreward import __version__
from memreward.data import group_from_record
from memreward.integrations.client import Scored
from memreward.integrations.openrlhf import asked_of as openrlhf_asked
from memreward.integrations.openrlhf import reply_of as openrlhf_reply
from memreward.service.batching import Batcher
from memreward.service.config import ServiceConfig
from memreward.service.messages import AskedRollout, BusyError, ConflictError, OneOfDomains, StoppingError
from memreward.service.store import Store
from memreward.service.token import Application, RequireToken, token_from
from memreward.types import (
    BudgetError,
    DataError,
    FaultError,
    Group,
    MemRewardError,
    MissingExtraError,
    StoreError,
    UnknownDomainError,
)

try:
    from fastapi import FastAPI, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse, Response
    from starlette.exceptions import HTTPException

    from memreward.service.log import request_id
    from memreward.service.messages import (
        LabelsRequest,
        OpenRLHFRequest,
        QueryMessage,
        RolloutsRequest,
        ScoreOneRequest,
        ScoreRequest,
    )
    from memreward.service.metrics import Metrics
    from memreward.service.middleware import OPEN, Admitted, Limited, Traced
except ImportError as error:
    raise MissingExtraError(error.name or "fastapi", "serve", "the service") from error

_LOGGER = logging.getLogger(__name__)
_GONE = 499


class Json(JSONResponse):
    """JSON in ASCII: what a model wrote may not be Unicode."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False).encode()


class Service(FastAPI):
    """The pages, with what is behind them.

    Attributes:
        crowded: Whether more connections are open than may be; whoever opens them says so.
    """

    store: Store
    batcher: Batcher
    metrics: Metrics
    crowded: Callable[[], bool]


def create_app(
    store: Store,
    config: ServiceConfig | None = None,
    *,
    token: str | None = None,
    mounts: Mapping[str, Application] | None = None,
) -> Service:
    """Return the ASGI application; closing the store is the caller's.

    Args:
        token: Everybody must give it, for all but /health and /ready; "" asks nobody, None takes the environment's.
        mounts: Other applications by the path they are to stand at; the token guards them too.
    """
    settings = config or store.config

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.batcher.start()  # type: ignore[attr-defined]
        yield
        await app.batcher.stop()  # type: ignore[attr-defined]

    app = Service(
        title="memreward",
        version=__version__,
        summary="Rewards of rollouts that nobody labelled, for groups whose rollouts are sent one by one or together.",
        lifespan=lifespan,
        default_response_class=Json,
    )
    app.store, app.crowded = store, lambda: False
    app.batcher = Batcher(store, settings, lambda groups, seconds: app.metrics.batch(groups, seconds))
    app.metrics = Metrics(lambda: store.figures() | app.batcher.figures())
    _answer_errors(app)
    _add_scoring(app)
    _add_trainers(app)
    _add_memory(app)
    _add_health(app)
    for path, other in (mounts or {}).items():
        app.mount(path, other)
    # The last is the outermost.
    app.add_middleware(Limited)
    app.add_middleware(RequireToken, token=token_from() if token is None else token, open_to_all=OPEN)
    app.add_middleware(Admitted, rate=settings.rate, crowded=lambda: app.crowded(), open_to_all=OPEN)
    app.add_middleware(Traced, observer=app.metrics.request)
    return app


_SAID = {
    401: "The token is missing or wrong.",
    408: "The request arrived too slowly.",
    409: "A name stands for something else already.",
    413: "The request is too large.",
    422: "The request is not as described.",
    429: "Too much waits, or this address asks too often: Retry-After says when to come back.",
    500: "The service met a bug in scoring this group: asking again does not help.",
    503: "The service stops, hangs, cannot write or has no connection left: Retry-After says when to come back.",
}
_ERROR: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
        }
    }
}


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": _SAID[status], **_ERROR} for status in statuses}


_ALL = _responses(401, 408, 409, 413, 422, 429, 500, 503)


def _add_scoring(app: Service) -> None:
    @app.post("/score", responses=_ALL, tags=["rewards"])
    async def score(asked: ScoreRequest) -> Json:
        """Reward whole groups. Sent again, a group gets the same answers."""
        groups = [message.group() for message in asked.groups]
        found = await app.batcher.score(groups)
        if conflict := next((one for one in found if isinstance(one, ConflictError)), None):
            return _failure(409, str(conflict))
        answered = [one for one in found if not isinstance(one, ConflictError)]
        app.metrics.answers(answer for answers in answered for answer in answers)
        replies = [
            {"id": group.id, "rewards": [answer.record() for answer in answers]}
            for group, answers in zip(groups, answered, strict=True)
        ]
        return Json({"groups": replies, "figures": app.store.figures()})

    @app.post("/score_one", responses={200: {"model": Scored}, **_ALL}, tags=["rewards"])
    async def score_one(asked: ScoreOneRequest, request: Request) -> Json:
        """Reward one rollout, once its group is whole or its deadline has passed. Sent again, it gets the same answer.

        Whoever hangs up before withdraws it.
        """
        answer = await _answered(app, asked, request)
        return Json({**answer.record(), "figures": app.store.figures()})


def _add_trainers(app: Service) -> None:
    @app.post("/openrlhf", responses=_ALL, tags=["trainers"])
    async def openrlhf(
        asked: OpenRLHFRequest,
        request: Request,
        size: Annotated[int, Query(ge=1, le=4096, description="--rollout.n_samples_per_prompt")],
        domain: Annotated[OneOfDomains, Query(description="Of questions whose label names none.")] = "math",
        deadline: Annotated[float, Query(gt=0, le=86_400, description="Seconds after the group's first.")] = 170.0,
    ) -> Json:
        """Reward one rollout as OpenRLHF's --reward.remote_url asks; its group is that of its prompt."""
        try:
            found = openrlhf_asked(asked.query[0], asked.prompts[0], asked.labels[0] if asked.labels else None, domain)
            one = ScoreOneRequest(
                group=found["group"],
                size=size,
                query=QueryMessage(**found["query"]),
                rollout=AskedRollout(uuid.uuid4().hex, found["text"]),
                deadline=deadline,
            )
        except (DataError, ValueError) as error:
            return _failure(422, str(error))
        answer = await _answered(app, one, request)
        return Json(openrlhf_reply(replace(answer, figures=app.store.figures())))


def _add_memory(app: Service) -> None:
    @app.post("/rollouts", responses=_ALL, tags=["memory"])
    async def rollouts(given: RolloutsRequest) -> Json:
        """Put rollouts into memory, to be labelled or looked up later. Ground truth in them is sealed."""

        def read() -> list[Group]:
            return [group_from_record(one, where=f"groups[{i}]") for i, one in enumerate(given.groups)]

        try:
            groups = await asyncio.to_thread(read)  # megabytes of text take seconds, in which others are to be answered
        except (MemRewardError, RecursionError) as error:
            return _failure(422, str(error))
        report = await asyncio.to_thread(app.store.add, groups)
        added = {"queries": report.new_queries, "rollouts": report.new_rollouts, "updated": report.updated}
        return Json(added)

    @app.post("/labels", responses=_ALL, tags=["memory"])
    async def labels(given: LabelsRequest) -> Json:
        """Enter verdicts on rollouts in memory. The ledger counts each once, and the model learns from it once."""
        return Json(await asyncio.to_thread(app.store.label, given.verdicts(), source=given.source, use=given.use))

    @app.get("/ledger", responses=_responses(401, 429, 503), tags=["memory"])
    async def ledger() -> Json:
        """What ground truth was spent, by use and source."""
        return Json(await asyncio.to_thread(app.store.ledger))

    @app.get("/memory", responses=_responses(401, 429, 503), tags=["memory"])
    async def memory() -> Json:
        """How much memory holds."""
        return Json(await asyncio.to_thread(app.store.memory))


def _add_health(app: Service) -> None:
    @app.get("/health", tags=["service"])
    async def health() -> Json:
        """Whether the process answers."""
        return Json({"status": "ok"})

    @app.get("/ready", responses=_responses(503), tags=["service"])
    async def ready() -> Json:
        """Whether rewards can be had: trainers ask before their first step."""
        if app.batcher.faults:
            return _failure(503, f"{app.batcher.faults} groups met a bug: see the log and start the service again", 5.0)
        if not app.batcher.ready:
            return _failure(503, "the service stops or hangs", 5.0)
        return Json({"status": "ready", "version": __version__, "pays": "advantages"})

    @app.get("/metrics", response_class=PlainTextResponse, responses=_responses(401, 429, 503), tags=["service"])
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(app.metrics.text(), media_type="text/plain; version=0.0.4")


async def _answered(app: Service, asked: ScoreOneRequest, request: Request) -> Scored:
    """Wait for an answer as long as its client does."""
    asking = app.batcher.score_one(asked.asked(), asked.size, asked.rollout, asked.deadline)
    answering, leaving = asyncio.ensure_future(asking), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise HTTPException(_GONE, "the client has gone")
        app.metrics.answers([answer := await answering])
        return answer
    finally:
        for task in (answering, leaving):
            task.cancel()


_STATUS: Mapping[type[Exception], int] = {
    **{UnknownDomainError: 422, StoppingError: 503, BusyError: 429},
    **dict.fromkeys((ConflictError, DataError, BudgetError), 409),
}
"""What each error of ours is answered with; a kind before what it is a kind of."""


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer_errors(app: Service) -> None:
    """Say each error of ours by its status, in one place; the request is never repeated in the reply."""

    async def answer(_: Request, error: Exception) -> Json:
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        return _failure(status, str(error), error.after if isinstance(error, BusyError) else 0.0)

    for kind in _STATUS:
        app.add_exception_handler(kind, answer)

    async def unwritten(_: Request, error: Exception) -> Json:
        _LOGGER.error("%s", error)
        return _failure(503, str(error), 5.0)

    async def faulty(_: Request, error: Exception) -> Json:
        known = isinstance(error, FaultError)
        _LOGGER.error("no answer: %s", error, exc_info=None if known else error)
        said = str(error) if known else f"a bug was met: {type(error).__name__}: {error}"
        return _failure(500, f"{said}; request {request_id.get()}")

    async def misread(_: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)
        said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5]]
        return _failure(422, "; ".join(said))

    async def refused(_: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)
        # A body that cannot be read as JSON at all is no more than one that is not as described.
        reply = _failure(422 if error.status_code == 400 else error.status_code, str(error.detail))
        reply.headers.update(error.headers or {})
        return reply

    app.add_exception_handler(StoreError, unwritten)
    app.add_exception_handler(FaultError, faulty)
    app.add_exception_handler(Exception, faulty)
    app.add_exception_handler(RequestValidationError, misread)
    app.add_exception_handler(HTTPException, refused)


def _failure(status: int, said: str, after: float = 0.0) -> Json:
    headers = {"retry-after": str(math.ceil(after))} if after else None
    return Json({"error": said}, status_code=status, headers=headers)
