"""Settings of the service."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from memreward.types import ConfigurationError


@dataclass(frozen=True)
class ServiceConfig:
    """Budget and deadlines of the service.

    Attributes:
        labels: Most labelled queries that the ledger may hold: a query that comes with a reference is judged by it
            while this lasts, and its reward is ground truth. 0 judges only the queries whose labels warmup released.
        group_deadline: Seconds after a group's first rollout at which it is answered as it is, marked as partial; a
            request may ask for less.
    """

    labels: int = 0
    group_deadline: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0 or (value == 0 and field.name != "labels"):
                raise ConfigurationError(f"{field.name} is {value}, not a limit: give a number above 0")
