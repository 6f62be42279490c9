"""What every request passes: an id and a line in the log, and limits of size, time and rate. Plain ASGI."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import time
import uuid
from collections.abc import Callable

from memreward.service.config import ServiceConfig
from memreward.service.token import Application, Message, Receive, Send

_LOGGER = logging.getLogger("memreward.service")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that is being answered."""

Observer = Callable[[str, int, float], None]
"""Told of each request: path, status, seconds."""


class LogFormat(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {"time": record.created, "level": record.levelname, "message": record.getMessage()}
        if identity := getattr(record, "request", request_id.get()):
            line["request"] = identity
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class Traced:
    """Gives each request an id, the client's own where it is a plain one, and says in the log how it ended.

    Args:
        app: What is behind it.
        observer: Told of each request.
    """

    def __init__(self, app: Application, observer: Observer) -> None:
        self._app, self._observer = app, observer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
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
    """Refuses what is too large, too slow to arrive, or too much: 413, 408, 429.

    Args:
        app: What is behind it.
        config: The limits.
    """

    def __init__(self, app: Application, config: ServiceConfig) -> None:
        self._app, self._config = app, config
        self._allowance, self._seen = max(config.requests_per_second, 1.0), time.monotonic()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through once it has arrived as a whole, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if wait := self._over():
            await _refuse(send, 429, "more requests a second than the service is set to answer", wait)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or len(declared) > 18 or int(declared) > self._config.body:
            await self._too_large(send)
            return
        try:
            async with asyncio.timeout(self._config.body_seconds):
                body = await self._whole(receive)
        except TimeoutError:
            await _refuse(send, 408, f"the request did not arrive within {self._config.body_seconds:g} s")
            return
        if body is None:
            await self._too_large(send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _over(self) -> float:
        """Seconds until there is an allowance for this request; 0 where there is."""
        rate = self._config.requests_per_second
        if not rate:
            return 0.0
        now = time.monotonic()
        self._allowance = min(max(rate, 1.0), self._allowance + rate * (now - self._seen))
        self._seen = now
        if self._allowance < 1:
            return (1 - self._allowance) / rate
        self._allowance -= 1
        return 0.0

    async def _whole(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._config.body:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _too_large(self, send: Send) -> None:
        await _refuse(send, 413, f"a request may have {self._config.body} bytes: send fewer groups at a time")


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(send: Send, status: int, said: str, after: float = 0.0) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if after:
        headers.append((b"retry-after", str(max(1, round(after))).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": said}).encode()})
