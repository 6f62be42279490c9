"""What every request passes: an id and a line in the log, and limits of number, size and time. Plain ASGI."""

import asyncio
import logging
import math
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from memreward.service.log import request_id
from memreward.service.token import Application, Message, Receive, Send

_LOGGER = logging.getLogger("memreward.service")
BODY = 33_554_432
"""Bytes of the largest request."""
BODY_SECONDS = 30.0
"""In which a request must have arrived."""
OPEN = ("/health", "/ready")
"""Paths that are answered without a token, and however much is asked."""
_CLOSE = {"connection": "close"}
_ADDRESSES = 4_096
_CROWDED_SECONDS = 5
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

Observer = Callable[[str, int, float], None]
"""Told of each request: path, status, seconds."""


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


class Buckets:
    """Counts requests by address: each may make `rate` a second, and a second's worth of them at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._most = rate, max(1.0, rate)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Return seconds until another request of an address is due; 0 takes it now."""
        left, since = self._left.pop(address, (self._most, now))
        left = min(self._most, left + self._rate * (now - since))
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._rate


class Admitted:
    """Sends away what there is no room for, and says when to come back: 503, 429.

    Args:
        rate: Requests a second of one address; 0 does not limit. A request without an address is not counted.
        crowded: Whether more connections are open than may be.
        open_to_all: Paths that are answered in any case.
    """

    def __init__(
        self, app: Application, rate: float, crowded: Callable[[], bool], open_to_all: Collection[str]
    ) -> None:
        self._app, self._rate, self._crowded, self._open = app, rate, crowded, frozenset(open_to_all)
        self._buckets = Buckets(rate)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        counted = scope["type"] == "http" and scope["path"] not in self._open
        if counted and self._crowded():
            refusal = _refusal(503, "too many connections are open: come back later", _CROWDED_SECONDS, _CLOSE)
            await refusal(scope, receive, send)
        elif counted and (seconds := self._wait(scope)):
            await _refusal(429, f"one address may ask {self._rate:g} times a second", seconds)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wait(self, scope: Message) -> float:
        client = scope.get("client") if self._rate else None
        return self._buckets.wait(client[0], time.monotonic()) if client else 0.0


def _refusal(status: int, said: str, after: float, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": said}, status, {"retry-after": str(math.ceil(after)), **(headers or {})})


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
