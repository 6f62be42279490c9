"""The service's log: one JSON object a line, with the request that it belongs to. Needs no extra."""

import contextvars
import json
import logging
import sys

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that is being answered."""


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


def log_to_stderr() -> None:
    """Write one JSON object a line for each request, and for whatever the library logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormat())
    for name in ("memreward", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "memreward" else logging.WARNING)
