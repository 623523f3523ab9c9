"""One who runs a BAL in the bench."""

from dataclasses import dataclass

from bal.home import Home


@dataclass(frozen=True, slots=True)
class Operator:
    """A BAL of the bench: its home, its source, its log."""

    name: str
    home: Home

    @property
    def source(self) -> str:
        """Return the source that sends."""
        return f"{self.name}-meters"

    @property
    def log(self) -> str:
        """Return the log, and the lane, it writes."""
        return f"{self.name}-1"
