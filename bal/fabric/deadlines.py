"""How long each phase may take, fail-over included."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for each phase; a phase tries its gateways and ways to endorse within that time."""

    evaluate: float = 5.0
    endorse: float = 15.0
    submit: float = 15.0
    """Orderers that lost their leader elect another within seconds."""
    commit_status: float = 60.0
    events: float = 60.0
    """How long a stream of events goes on trying when no gateway answers."""
