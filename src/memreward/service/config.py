"""Settings of the service."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from memreward.types import ConfigurationError


@dataclass(frozen=True)
class ServiceConfig:
    """Limits and deadlines of the service.

    Attributes:
        labels: Most labelled queries that the ledger may hold: a query that comes with a reference is judged by it
            while this lasts, and its reward is ground truth. 0 judges only the queries whose labels warmup released.
        group_deadline: Seconds after a group's first rollout at which it is answered as it is, marked as partial; a
            request may ask for less.
        scoring_deadline: Seconds that a batch may take before its requests are told to come back, and the service is
            no longer ready.
        batch: Rollouts, at most, that are scored at once; fewer where fewer wait.
        waiting: Rollouts, at most, that wait; those beyond are told when to come back.
        body: Largest request, in bytes.
        body_seconds: Seconds in which a request must have arrived.
        requests_per_second: Requests answered a second, in the long run; 0 does not limit.
        connections: Connections at a time.
        kept_answers: Answers that are kept, for requests that are sent again.
        stop_seconds: Seconds that a stop waits for what is being scored.
    """

    labels: int = 0
    group_deadline: float = 120.0
    scoring_deadline: float = 120.0
    batch: int = 256
    waiting: int = 16_384
    body: int = 33_554_432
    body_seconds: float = 30.0
    requests_per_second: float = 0.0
    connections: int = 8_192
    kept_answers: int = 200_000
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        may_be_nothing = {"labels", "requests_per_second"}
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and field.name not in may_be_nothing):
                raise ConfigurationError(f"{field.name}={value} is no such limit: give a number above 0")
