"""Sources: who may send, how their documents are read, and where their readings go."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bal.core.names import check_name
from bal.core.pseudonym import is_pseudonym
from bal.core.quality import QualityRules
from bal.core.topics import TopicMapping

Output = Literal["jsonl", "mqtt", "mqtt-flat", "kafka"]
PointFrom = Literal["usage-point", "meter"]


class Grant(BaseModel):
    """What a subscriber may read that is less than a whole source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscriber: str
    points: tuple[str, ...] = Field(min_length=1)
    """Measuring points (pseudonyms)."""

    @field_validator("subscriber")
    @classmethod
    def _name(cls, name: str) -> str:
        return check_name(name)

    @field_validator("points")
    @classmethod
    def _points(cls, points: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_pseudonym, points)):
            message = "a measuring point is named by its pseudonym"
            raise ValueError(message)
        return tuple(sorted(set(points)))


class Source(BaseModel):
    """A source's registration as in force from `recorded_at` on. A change is recorded as a new one, never in place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    lane: str
    """The lane all its messages go through, whatever door they come in by."""
    organisation: str = ""
    """The ledger organisation it is registered under; empty until it is."""
    identities: tuple[str, ...] = ()
    """Certificate common names or user names that may send as this source; empty means its own name only."""
    point_from: PointFrom = "usage-point"
    """Which identifier the pseudonym is made from where a document has both."""
    time_zone: str | None = None
    """IANA zone in which times without an offset are read; none refuses such times."""
    rules: QualityRules = Field(default_factory=QualityRules)
    topics: tuple[TopicMapping, ...] = ()
    """Foreign topics of its own that stand for its own `bal/{source}/…` topics."""
    readers: tuple[str, ...] = ()
    """Identities that may subscribe to its certified and flat topics."""
    grants: tuple[Grant, ...] = ()
    """Subscribers of single measuring points; who may read all of it is among `readers`."""
    outputs: tuple[Output, ...] = ("jsonl",)
    suspended: bool = False
    recorded_at: int = 0
    """Microseconds UTC."""

    @field_validator("name", "lane")
    @classmethod
    def _name(cls, name: str) -> str:
        return check_name(name)


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane and the log it writes now."""

    name: str
    log: str
    opened_at: int = field(default=0)
