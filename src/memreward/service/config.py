"""Settings of the service."""

import math
from dataclasses import dataclass

from memreward.types import ConfigurationError


@dataclass(frozen=True)
class ServiceConfig:
    """Budget, deadlines and rate of the service.

    Attributes:
        labels: Most labelled queries that the ledger may hold: a query that comes with a reference is judged by it
            while this lasts, and its reward is ground truth. 0 judges only the queries whose labels warmup released.
        group_deadline: Seconds after a group's first rollout at which it is answered as it is, marked as partial; a
            request may ask for less.
        rate: Requests a second of one address, and as many at once; 0 does not limit. All workers of a machine have one
            address, so what is meant for a trainer should be above what it samples.
    """

    labels: int = 0
    group_deadline: float = 120.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if self.labels < 0:
            raise ConfigurationError(f"labels is {self.labels}: give a number of queries, or 0")
        if not 0 < self.group_deadline < math.inf:
            raise ConfigurationError(f"group_deadline is {self.group_deadline}: give seconds above 0")
        if not 0 <= self.rate < math.inf:
            raise ConfigurationError(f"rate is {self.rate}: give requests a second, or 0")
