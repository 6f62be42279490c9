"""One request to a model server, tried again while trying may help.

What passes by itself (429, 5xx, a dropped connection, a time-out, half an answer) is tried again with growing pauses;
what does not (a wrong key, an unknown model, a wrong address) ends the sampling with what to change. The openai client
does not try again after half an answer, takes a page of HTML for one, and goes on asking where the quota is used up.
"""

import asyncio
import contextlib
import logging
import os
import random
import re
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from memreward.data.chat import read_choice
from memreward.policy.sampler import Sample
from memreward.policy.settings import API_KEY, EndpointConfig
from memreward.types import ConfigurationError, EndpointError, MissingExtraError

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "endpoint", "sampling from a model server") from error

ATTEMPTS = 8
"""Times that a request is sent to an overloaded or failing server, with growing pauses in between."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_LONGEST_RETRY_AFTER = 900.0
_PASSING = frozenset({408, 409, 425, 429, *range(500, 600)}) - {501}
_PATH = "chat/completions"
_BROKEN_OFF = ("abort", "error")
TIMEOUT_S = 600.0
"""Seconds after which a request without a whole answer counts as failed."""

_UNKNOWN_MODEL = re.compile(
    r"\bmodel\b.*\b(not found|not exist|unknown|not available)|\b(unknown|invalid|no such) model|pinned to",
    re.IGNORECASE,
)

_UNSUPPORTED = re.compile(r"not supported|unsupported|not implemented", re.IGNORECASE)

_certificates = cache(httpx.create_ssl_context)
"""Of whom servers are trusted; read once in a process, which takes longer than many an answer."""

_log = logging.getLogger(__name__)
# Jitter decides nothing that is sampled, and must differ between processes that were started alike.
_jitter = random.SystemRandom()


class RefusedError(Exception):
    """The server does not take a request as it is; `said` is its reason. The sampler answers for it."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.said = said


class _PassingError(Exception):
    """A failure that may be gone next time, in `after` seconds if the server said when."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class Connection(AbstractAsyncContextManager["Connection"]):
    """A client of one server that is asked for one model; use it in one event loop, within `async with`."""

    def __init__(self, model: str, config: EndpointConfig) -> None:
        self.model = model
        self.config = config
        self._key = _api_key()
        self._url = config.url.rstrip("/")
        self._free_at = 0.0
        self._client = httpx.AsyncClient(
            verify=_certificates(),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=config.parallel + 1),
        )

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, body: Mapping[str, Any]) -> list[Sample]:
        """Send one request, or raise.

        RefusedError where the server does not take it, ConfigurationError where it does not take the key, address or
        model, EndpointError where it failed as often as it may.
        """
        for attempt in range(1, ATTEMPTS + 1):
            await asyncio.sleep(self._free_at - time.monotonic())
            try:
                return await self._try(body)
            except _PassingError as failure:
                await self._pause(attempt, failure)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _pause(self, attempt: int, failure: _PassingError) -> None:
        if attempt == ATTEMPTS or (failure.after or 0.0) > _LONGEST_RETRY_AFTER:
            later = f"; it says to come back in {failure.after:.0f} s" if failure.after else ""
            raise EndpointError(
                f"{self._url}: failed {attempt} times in a row, at last with {failure}{later}. What was finished is "
                "kept: look at the server and run the same command again, perhaps with fewer requests at a time "
                "(parallel)"
            ) from failure
        level = logging.INFO if attempt < 3 else logging.WARNING
        _log.log(level, "%s: attempt %d of %d failed: %s", self._url, attempt, ATTEMPTS, failure)
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)) * _jitter.uniform(0.5, 1.0)
        if failure.after is not None:
            # The server's word holds for every request of ours, not only for the one it was said to.
            self._free_at = max(self._free_at, time.monotonic() + failure.after)
        await asyncio.sleep(pause)

    async def _try(self, body: Mapping[str, Any]) -> list[Sample]:
        try:
            # httpx limits each read; an answer that trickles in must end too.
            async with asyncio.timeout(TIMEOUT_S):
                response = await self._client.post(f"{self._url}/{_PATH}", json=body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _PassingError(f"no whole answer within {TIMEOUT_S:g} s") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigurationError(
                f"{self._url}: is not an address ({error}): give one as http://localhost:8000/v1"
            ) from error
        except httpx.RequestError as error:
            raise _PassingError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        if not response.is_success:
            raise await self._failure(response)
        try:
            return read_answer(response.json())
        except ValueError as error:
            raise _PassingError(f"an answer that cannot be read ({error})") from error

    async def _failure(self, response: httpx.Response) -> Exception:
        status, said = response.status_code, self._said(response)
        if status == 429 and "insufficient_quota" in response.text:
            return ConfigurationError(f"{self._url}: the account has no quota left ({said}): top it up, then go on")
        # llama-cpp-python calls a part of the request that it does not know an internal error.
        if status in _PASSING and not (status >= 500 and _UNSUPPORTED.search(said)):
            return _PassingError(f"{status}: {said}", _retry_after(response.headers))
        if status in (401, 403):
            remedy = f"check the key in {API_KEY}" if self._key else f"put its key into the variable {API_KEY}"
            return ConfigurationError(f"{self._url}: the server refuses access ({status}: {said}): {remedy}")
        if status in (400, 404) and _UNKNOWN_MODEL.search(said):
            return ConfigurationError(
                f"{self._url}: the server does not have model {self.model!r} ({said}){await self._models()}"
            )
        if status == 404 or response.is_redirect or status == 405:
            return ConfigurationError(
                f"{self._url}: nothing answers at /{_PATH} ({status}: {said}): check the address, "
                "which mostly ends on /v1"
            )
        return RefusedError(status, said)

    async def _models(self) -> str:
        try:
            response = await self._client.get(f"{self._url}/models", timeout=10.0)
            names = [str(model["id"]) for model in response.json()["data"]]
        except (httpx.RequestError, ValueError, KeyError, TypeError) as error:
            return f": name one that it has (it does not list them: {type(error).__name__})"
        return f": name one of {', '.join(names[:20])}" if names else ": load it there first"

    def _said(self, response: httpx.Response) -> str:
        try:
            body = response.json()
        except ValueError:
            body = response.text
        for _ in range(2):
            if isinstance(body, dict):
                body = next((body[name] for name in ("error", "message", "detail") if body.get(name)), body)
        words = " ".join(str(body).split())[:500]
        return words.replace(self._key, "***") if self._key else words


def read_answer(body: Any) -> list[Sample]:
    """Read the JSON of a chat completion, a sample a choice; ValueError where asking again may help."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise ValueError(f"an answer without choices: {str(body)[:200]}")
    samples = []
    for choice in choices:
        if (finish := choice.get("finish_reason")) in _BROKEN_OFF:
            raise ValueError(f"the server broke off generation: finish_reason {finish!r}")
        text, logprobs, truncated = read_choice(choice)
        samples.append(Sample(text, token_logprobs=logprobs, truncated=truncated))
    return samples


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait as the server asks, given in seconds or as a date."""
    value = headers.get("retry-after", "")
    for seconds_of in (float, lambda date: parsedate_to_datetime(date).timestamp() - time.time()):
        with contextlib.suppress(ValueError):
            return max(0.0, seconds_of(value))
    return None


def _api_key() -> str:
    key = os.environ.get(API_KEY, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"environment variable {API_KEY} holds characters that no key has (a line break, a space, an accent): "
            "set it again"
        )
    return key
