"""OpenAI's batch output and vLLM's (`vllm run-batch`), beside the requests that say what was asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memreward.data.chat import question_of, read_choice
from memreward.data.containers import Entry, json_lines
from memreward.data.formats.found import Finds, Found, Reading, Row, in_rows
from memreward.types import DOMAINS, DataError


def recognises(row: Row) -> bool:
    return "custom_id" in row and "response" in row


def found_in(entries: Iterator[Entry], reading: Reading) -> Finds:
    """Yield one rollout a choice; without `reading.requests` the question is known by its custom id alone."""
    asked = {} if reading.requests is None else _requests(reading.requests)
    domain = reading.domain if reading.domain in DOMAINS else None
    failed: list[str] = []

    def found(where: str, row: Row) -> Iterator[Found]:
        name = row.get("custom_id")
        if not isinstance(name, str):
            raise DataError(f"{where}: field 'custom_id': is {name!r}, no text; each line answers a request by it")
        if reading.requests is not None and name not in asked:
            raise DataError(f"{where}: field 'custom_id': {name!r} is not among the requests in {reading.requests}")
        if (reason := _failure(row)) is not None:
            failed.append(f"{where}: {reason}")
            return
        rollouts = tuple(_rollout(where, choice, name) for choice in _choices(where, row))
        yield Found(where, asked.get(name), rollouts, domain=domain, custom_id=name)

    yield from in_rows(entries, found)
    if failed:
        place, _, reason = failed[0].partition(": ")
        count = "a request" if len(failed) == 1 else f"{len(failed)} requests"
        yield place, DataError(f"{place}: {count} failed, here by {reason}; ask again, or leave them out: --skip-bad")


def _requests(path: Path) -> dict[str, str]:
    """Questions by custom id: of a chat the last message."""
    asked: dict[str, str] = {}
    for where, row in json_lines(path):
        if isinstance(row, DataError):
            raise row
        body = row.get("body") if isinstance(row, dict) else None
        if not isinstance(body, dict) or not isinstance(row.get("custom_id"), str):
            raise DataError(f"{where}: no request: write one object a line with 'custom_id' and 'body'")
        prompt = next((body[key] for key in ("messages", "prompt", "input") if body.get(key)), None)
        if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
            prompt = prompt[0]
        try:
            asked[row["custom_id"]] = question_of(prompt)
        except DataError as error:
            raise DataError(f"{where}: field 'body': {error}") from error
    return asked


def _failure(row: Row) -> str | None:
    """Why a request was not answered; None where it was."""
    response, body = row.get("response"), _body(row)
    error = row.get("error") or body.get("error")
    status = response.get("status_code") if isinstance(response, dict) else None
    if not error and status in (None, 200):
        return None
    said = error.get("message", error) if isinstance(error, dict) else error
    return f"{status or 'no answer'} ({said})" if said else str(status)


def _body(row: Row) -> dict[str, Any]:
    response = row.get("response")
    body = response.get("body", response) if isinstance(response, dict) else None
    return body if isinstance(body, dict) else {}


def _choices(where: str, row: Row) -> list[Any]:
    body = _body(row)
    choices, output = body.get("choices"), body.get("output")
    if choices is None and isinstance(output, list):
        choices = [_choice_of(output, cut=body.get("status") == "incomplete")]
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise DataError(
            f"{where}: field 'response': has no choices and no output; it is no completion, chat completion or response"
        )
    return choices


def _choice_of(output: list[Any], *, cut: bool) -> dict[str, Any]:
    """What the endpoint /v1/responses returns, as the choice of a chat completion."""
    said = {"reasoning": "", "message": ""}
    for item in output:
        kind = str(item.get("type")) if isinstance(item, dict) else ""
        parts = item.get("content") if kind in said else None
        for part in parts if isinstance(parts, list) else []:
            said[kind] += str(part.get("text") or "") if isinstance(part, dict) else ""
    message = {"content": said["message"], "reasoning": said["reasoning"]}
    return {"message": message, "finish_reason": "length" if cut else "stop"}


def _rollout(where: str, choice: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        text, logprobs, truncated = read_choice(choice)
    except ValueError as error:
        raise DataError(f"{where}: field 'choices': {error}") from error
    found: dict[str, Any] = {"text": text, "custom_id": name}
    if truncated is not None:
        found["truncated"] = truncated
    if logprobs is not None:
        found["token_logprobs"] = list(logprobs)
    return found
