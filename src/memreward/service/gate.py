"""What every request passes: an id and a line in the log, and limits of size and time. Plain ASGI."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.exceptions import HTTPException

from memreward.service.token import Application, Message, Receive, Send

_LOGGER = logging.getLogger("memreward.service")
BODY = 33_554_432
"""Bytes of the largest request."""
BODY_SECONDS = 30.0
"""In which a request must have arrived."""
_CLOSE = {"connection": "close"}
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that is being answered."""

Observer = Callable[[str, int, float], None]
"""Told of each request: path, status, seconds."""


class LogFormat(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": record.created, "level": record.levelname, "message": record.getMessage()}
        if identity := getattr(record, "request", request_id.get()):
            line["request"] = identity
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class Traced:
    """Gives each request an id, the client's own where it is a plain one, and says in the log how it ended."""

    def __init__(self, app: Application, observer: Observer) -> None:
        self._app, self._observer = app, observer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        identity = given.decode() if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        request_id.set(identity)
        status, started = 0, time.monotonic()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identity.encode())]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            self._observer(route, status, seconds)
            fields = {"method": scope["method"], "path": route, "status": status, "seconds": round(seconds, 4)}
            level = logging.INFO if 200 <= status < 400 else logging.WARNING
            _LOGGER.log(level, "request", extra={"request": identity, "fields": fields})


class Limited:
    """Refuses what is too large or too slow to arrive: 413, 408."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let the application read the request; where it reads too much or for too long, it is stopped there."""
        ends = asyncio.get_running_loop().time() + BODY_SECONDS
        size, whole = 0, scope["type"] != "http"

        async def limited() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the request did not arrive within {BODY_SECONDS:g} s", _CLOSE) from None
            size += len(message.get("body", b""))
            if size > BODY:
                raise HTTPException(413, f"a request may have {BODY} bytes: send fewer groups at a time", _CLOSE)
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)
