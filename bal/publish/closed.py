"""Outputs that are open only while the service runs."""

from bal.core.certified import CertifiedBatch
from bal.core.errors import Unavailable


class ClosedOutput:
    """Stands for an output whose door is closed: what should go there waits until the service runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Raise `Unavailable`."""
        count = len(sources & batch.commitment.anchor.counts.keys())
        message = f"this output is open only while the service runs; batches of {count} sources wait for it"
        raise Unavailable(message, subject=self.name, remedy="start `bal run`")
