"""Runs the service on uvicorn, until it is told to stop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from memreward.service import middleware
from memreward.service.app import Service
from memreward.service.batching import STOP_SECONDS
from memreward.types import MissingExtraError

try:
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol
except ImportError as error:
    raise MissingExtraError(error.name or "uvicorn", "serve", "the service") from error

_BACKLOG, _CONNECTIONS = 4_096, 8_192
_IDLE_SECONDS = 75


class _Gathering:
    """A transport that sends what is written in one turn of the event loop at once: a reply's head and body.

    By two calls the client wakes twice, and with a hundred under way a third fewer are answered.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            asyncio.get_running_loop().call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        written, self._written = self._written, []
        if written:
            self._transport.write(b"".join(written))


class _Impatient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # httptools' where it is installed
    """HTTP for which a connection must have sent its first request's head in so many seconds."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Gathering(transport))
        self._patience = asyncio.get_running_loop().call_later(middleware.BODY_SECONDS, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def server_of(app: Service, host: str, port: int, started: Callable[[str], None]) -> uvicorn.Server:
    """Return a server whose `run` answers until SIGTERM or SIGINT; what is being scored then is answered first.

    Args:
        started: Told of the address once the service listens.
    """
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Impatient,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return _Server(settings, app, started)


class _Server(uvicorn.Server):
    def __init__(self, settings: uvicorn.Config, app: Service, started: Callable[[str], None]) -> None:
        super().__init__(settings)
        self._service, self._started = app, started
        # Not uvicorn's limit_concurrency, whose answer does not say when to come back, and which health would get too.
        app.crowded = lambda: len(self.server_state.connections) > _CONNECTIONS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First: uvicorn waits for all requests, and those whose groups are not whole would wait for others.
        await self._service.batcher.stop()
        await super().shutdown(sockets)
