"""Who may ask: one token for all pages of a service, and no public address without one."""

import base64
import binascii
import hmac
import ipaddress
import json
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from memreward.types import ConfigurationError

VARIABLE = "MEMREWARD_TOKEN"
"""Environment variable that holds the token: on a command line every user of the machine could read it."""

_SHORTEST = 16

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def token_from(environment: Mapping[str, str] = os.environ, variable: str = VARIABLE) -> str:
    token = environment.get(variable, "").strip()
    if token and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token):
        raise ConfigurationError(
            f"the token in {variable} is shorter than {_SHORTEST} characters, or holds a space or an accent: make one "
            "by python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def host_and_port(text: str, port: int = 0) -> tuple[str, int]:
    """Read HOST or HOST:PORT, an IPv6 address in brackets where a port follows; `port` where none is named.

    Raises ConfigurationError where it is no address, or its port no number from 0 to 65535.
    """
    bare = text.count(":") > 1 and not text.startswith("[")
    try:
        parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
        named = parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no address to listen on ({error}): give one as 127.0.0.1:8765"
        ) from error
    return parts.hostname or "", port if named is None else named


def refuse_public(host: str, token: str) -> None:
    """Refuse to listen where others can reach the service and it would ask them for nothing."""
    if not token and not is_loopback(host):
        raise ConfigurationError(
            f"{host!r} can be reached from other machines and no token is set: put one into {VARIABLE}, or listen on "
            "127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Return whether an address is of this machine alone; a name other than localhost is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def given_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return what a request gives as its token: a bearer's, or the password of basic authentication; else b""."""
    for name, value in headers:
        if name.lower() != b"authorization":
            continue
        scheme, _, rest = value.strip().partition(b" ")
        if scheme.lower() == b"bearer":
            return rest.strip()
        if scheme.lower() == b"basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return b""
    return b""


def same_token(given: bytes, token: str) -> bool:
    """Compare in a time that does not depend on how much is right."""
    return hmac.compare_digest(given, token.encode())


class RequireToken:
    """ASGI middleware: whoever has no token gets 401. A browser asks its user, any name will do.

    Args:
        token: "" lets everybody in.
        open_to_all: Paths that need none.
    """

    def __init__(self, app: Application, token: str, open_to_all: Collection[str] = ("/health",)) -> None:
        self._app, self._token, self._open = app, token, frozenset(open_to_all)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        guarded = scope["type"] in ("http", "websocket") and self._token and scope["path"] not in self._open
        if not guarded or same_token(given_token(scope["headers"]), self._token):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = json.dumps({"error": f"a token is needed: send the one in {VARIABLE} as Authorization: Bearer"})
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b'Basic realm="memreward"')]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})
