"""What a lane counts."""

from typing import Protocol


class LaneMetrics(Protocol):
    """Counters of a lane; labels are bounded words, never names that strangers choose."""

    def accepted(self, count: int) -> None:
        """Count readings stored."""
        ...

    def rejected(self, code: str, count: int) -> None:
        """Count readings refused for one kind of reason."""
        ...

    def duplicates(self, count: int) -> None:
        """Count readings that were there already."""
        ...

    def anchored(self, count: int, lag_seconds: float) -> None:
        """Count readings anchored, and how long after sealing."""
        ...

    def published(self, count: int) -> None:
        """Count readings every output acknowledged."""
        ...

    def alarm(self, kind: str) -> None:
        """Count something an operator must look at."""
        ...
