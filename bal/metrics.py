"""What an operator watches, as Prometheus metrics. Labels are bounded words, never names that strangers choose."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

EXPOSITION_TYPE: Final = CONTENT_TYPE_LATEST
"""Media type of `Metrics.exposition`."""
CODES: Final = 64
"""Most kinds of rejection or alarm told apart; further ones are counted as `other`."""
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The collectors of one service, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._readings = Counter(
            "bal_readings", "Readings by what became of them.", ["result"], registry=self.registry
        )
        self._rejections = Counter(
            "bal_quarantine", "Readings and messages refused, by reason.", ["reason"], registry=self.registry
        )
        self._reported = Counter(
            "bal_rejections_published",
            "Refusals the operator's output acknowledged.",
            registry=self.registry,
        )
        self._unreported = Gauge(
            "bal_rejections_waiting", "Refusals the operator's output has not yet.", registry=self.registry
        )
        self._lag = Histogram(
            "bal_anchor_lag_seconds",
            "Seconds from sealing a batch to its anchor on the ledger.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Gauge(
            "bal_batches", "Batches that wait, by state.", ["state"], registry=self.registry
        )
        self._alarms = Counter(
            "bal_alarms", "Things an operator must look at, by kind.", ["kind"], registry=self.registry
        )
        self._requests = Counter(
            "bal_http_requests",
            "Requests by route template.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "bal_http_request_seconds",
            "Seconds from a request to the end of its answer.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._words: dict[str, set[str]] = {}
        for result in ("accepted", "rejected", "duplicate", "anchored", "published"):
            self._readings.labels(result)

    def accepted(self, count: int) -> None:
        """Count readings stored."""
        self._readings.labels("accepted").inc(count)

    def rejected(self, code: str, count: int) -> None:
        """Count readings refused for one kind of reason."""
        self._readings.labels("rejected").inc(count)
        self._rejections.labels(self._word("reason", code)).inc(count)

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

    def reported(self, count: int) -> None:
        """Count refusals the operator's output acknowledged."""
        self._reported.inc(count)

    def unreported(self, count: int) -> None:
        """Say how many refusals the operator's output has not yet."""
        self._unreported.set(count)

    def alarm(self, kind: str) -> None:
        """Count something an operator must look at."""
        self._alarms.labels(self._word("kind", kind)).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request; `method` and `route` (a template) come from closed lists."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def watch_batches(self, state: str, count: Callable[[], float]) -> None:
        """Show, whenever the metrics are read, how many batches wait in `state` (`unanchored`, `unpublished`)."""
        self._batches.labels(state).set_function(count)

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show another number under `bal_{name}` whenever the metrics are read."""
        Gauge(f"bal_{name}", meaning, registry=self.registry).set_function(value)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format (`EXPOSITION_TYPE`)."""
        return generate_latest(self.registry)

    def _word(self, label: str, word: str) -> str:
        known = self._words.setdefault(label, set())
        if word not in known:
            if len(known) >= CODES:
                return "other"
            known.add(word)
        return word
