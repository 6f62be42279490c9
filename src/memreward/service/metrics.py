"""What Prometheus is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from memreward.integrations.client import Scored
from memreward.service.messages import AskedGroup


class Metrics:
    """Counts of one service.

    Args:
        figures: Returns gauges by name, always the same ones; asked at each look.
    """

    def __init__(self, figures: Callable[[], Mapping[str, float]]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("memreward_requests", "Requests.", ["path", "status"], registry=self._registry)
        self._seconds = Histogram("memreward_request_seconds", "Time to answer.", ["path"], registry=self._registry)
        self._rollouts = Counter("memreward_rollouts", "Rollouts answered.", ["source"], registry=self._registry)
        self._failures = Counter("memreward_failures", "Rollouts that failed.", registry=self._registry)
        self._groups = Counter("memreward_groups", "Groups scored.", ["whole"], registry=self._registry)
        self._batch = Histogram(
            "memreward_batch_rollouts",
            "Rollouts scored at once.",
            buckets=[2**power for power in range(13)],
            registry=self._registry,
        )
        self._scoring = Histogram("memreward_batch_seconds", "Time to score a batch.", registry=self._registry)
        Gauge("memreward_up", "1 while the service runs.", registry=self._registry).set(1)
        for name in figures():
            gauge = Gauge(f"memreward_{name}", name.replace("_", " "), registry=self._registry)
            gauge.set_function(lambda name=name: figures()[name])  # type: ignore[misc]

    def request(self, path: str, status: int, seconds: float) -> None:
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, groups: Sequence[AskedGroup], seconds: float) -> None:
        self._batch.observe(sum(len(group.rollouts) for group in groups))
        self._scoring.observe(seconds)
        for group in groups:
            self._groups.labels("no" if group.partial else "yes").inc()

    def answers(self, answers: Iterable[Scored]) -> None:
        for answer in answers:
            self._rollouts.labels(answer.source).inc()
            if answer.failed:
                self._failures.inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
