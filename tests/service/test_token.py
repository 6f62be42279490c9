"""Who may ask a service, and where it may listen."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from memreward.service.token import (
    RequireToken,
    given_token,
    host_and_port,
    is_loopback,
    refuse_public,
    same_token,
    token_from,
)
from memreward.types import ConfigurationError
from rows import each_row

TOKEN = "a-token-of-some-length"


def test_a_token_is_read_from_the_environment() -> None:
    assert token_from({"MEMREWARD_TOKEN": f" {TOKEN}\n"}) == TOKEN
    assert token_from({}) == ""


@each_row("bad", ["short", "has a space in the middle of it", "ä" * 20, "line\nbreak" * 3])
def test_a_token_that_protects_nothing_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="MEMREWARD_TOKEN"):
        token_from({"MEMREWARD_TOKEN": bad})


@each_row("host", ["127.0.0.1", "127.5.0.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    refuse_public(host, "")


@each_row(
    ("text", "read"),
    [
        ("0.0.0.0", ("0.0.0.0", 8765)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("localhost:0", ("localhost", 0)),
        ("::1", ("::1", 8765)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 8765)),
    ],
)
def test_an_address_may_name_a_port(text: str, read: tuple[str, int]) -> None:
    assert host_and_port(text, 8765) == read


@each_row("text", ["[::1", "localhost:http", "localhost:65536", "localhost:-1"])
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no address"):
        host_and_port(text, 8765)


@each_row("host", ["0.0.0.0", "::", "10.1.2.3", "example.org", ""])
def test_no_public_address_without_a_token(host: str) -> None:
    refuse_public(host, TOKEN)
    with pytest.raises(ConfigurationError, match="no token"):
        refuse_public(host, "")


def test_bearers_and_passwords_are_read() -> None:
    basic = b"Basic " + base64.b64encode(f"anyone:{TOKEN}".encode())
    for value in (f"Bearer {TOKEN}".encode(), f"bearer  {TOKEN} ".encode(), basic):
        assert same_token(given_token([(b"Host", b"x"), (b"Authorization", value)]), TOKEN)
    for value in (b"", b"Bearer", b"Basic !!!", b"Basic \xff", b"Bearer \xff\xfe", TOKEN.encode()):
        assert not same_token(given_token([(b"authorization", value)]), TOKEN)


def status_of(path: str, headers: list[tuple[bytes, bytes]], token: str = TOKEN, kind: str = "http") -> Any:
    """Status that a request through the middleware gets; "through" where it reaches what is behind."""
    sent: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        sent.append({"status": "through"})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": headers}
    asyncio.run(RequireToken(behind, token)(scope, receive, send))
    return sent[0].get("status", sent[0].get("type"))


def test_all_but_health_needs_the_token() -> None:
    right = [(b"authorization", f"Bearer {TOKEN}".encode())]
    wrong = [(b"authorization", f"Bearer {TOKEN}x".encode())]
    assert status_of("/score", right) == "through"
    assert status_of("/health", []) == "through"
    assert status_of("/score", [], token="") == "through"
    assert status_of("/score", wrong) == status_of("/score", []) == status_of("/health/x", []) == 401
    assert status_of("/page", [], kind="websocket") == "websocket.close"
    assert status_of("", [], kind="lifespan") == "through"
