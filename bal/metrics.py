"""What the service counts, in the text format of Prometheus. Labels are bounded words, never names strangers choose."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LAG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Collectors in a registry of their own; the lanes count into them through `bal.lane.metrics.LaneMetrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._readings = Counter(
            "bal_readings", "Readings by what became of them", ["result"], registry=self.registry
        )
        self._rejections = Counter(
            "bal_rejections", "Rejections by kind of reason", ["code"], registry=self.registry
        )
        self._lag = Histogram(
            "bal_anchor_lag_seconds",
            "From sealing a batch to its anchor",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        self._alarms = Counter(
            "bal_alarms", "What an operator must look at", ["kind"], registry=self.registry
        )
        self._requests = Counter(
            "bal_requests", "Requests to the gateway", ["method", "route", "status"], registry=self.registry
        )

    def accepted(self, count: int) -> None:
        """Count readings stored."""
        self._readings.labels("accepted").inc(count)

    def rejected(self, code: str, count: int) -> None:
        """Count readings refused for one kind of reason."""
        self._readings.labels("rejected").inc(count)
        self._rejections.labels(code).inc(count)

    def duplicates(self, count: int) -> None:
        """Count readings that were there already."""
        self._readings.labels("duplicate").inc(count)

    def anchored(self, count: int, lag_seconds: float) -> None:
        """Count readings anchored, and how long after sealing."""
        self._readings.labels("anchored").inc(count)
        self._lag.observe(lag_seconds)

    def published(self, count: int) -> None:
        """Count readings every output acknowledged."""
        self._readings.labels("published").inc(count)

    def alarm(self, kind: str) -> None:
        """Count something an operator must look at."""
        self._alarms.labels(kind).inc()

    def request(self, method: str, route: str, status: int) -> None:
        """Count a request by its route's template."""
        self._requests.labels(method, route, str(status)).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show `value()` under `name` whenever the metrics are read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Return all of it in the text format."""
        return generate_latest(self.registry)
