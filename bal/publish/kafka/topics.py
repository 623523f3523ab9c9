"""Topics: their names, and how each family of them is made (`kafka/topics.toml`)."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bal.core.errors import Misconfigured
from bal.resources import resource

CERTIFIED: Final = "bal.certified."
GRANTED: Final = "bal.granted."
REJECTED: Final = "bal.rejected."
HEALTH: Final = "bal.health"
"""Where `bal stack` writes and reads to see whether Kafka works."""


class Family(BaseModel):
    """How the topics of a family are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: int = Field(ge=1, le=1000)
    replication: int = Field(1, ge=1, le=16)
    config: dict[str, str | int] = Field(default_factory=dict)
    """Topic settings by Kafka's names."""

    def settings(self) -> dict[str, str]:
        """Return the topic settings as Kafka takes them."""
        return {name: str(value) for name, value in self.config.items()}


class _Families(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    certified: Family
    granted: Family
    rejected: Family = Family(partitions=1)
    health: Family = Family(partitions=1)


def certified_topic(source: str) -> str:
    """Return the topic of everything that is certified of a source."""
    return CERTIFIED + source


def granted_topic(subscriber: str) -> str:
    """Return the topic of what a subscriber was granted that is less than a whole source."""
    return GRANTED + subscriber


def rejected_topic(identity: str) -> str:
    """Return the topic of what a BAL refused, by the BAL's own name on Kafka."""
    return REJECTED + identity


def read_families(path: Path | None = None) -> Mapping[str, Family]:
    """Return the families `certified`, `granted`, `rejected` and `health` of a topics file, else of the one that comes along.

    `Misconfigured` names what is wrong.
    """
    path = path or resource("kafka") / "topics.toml"
    try:
        found = _Families.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        message = f"the topics file cannot be opened ({error.strerror})"
        raise Misconfigured(message, subject=path.name, remedy="correct `kafka.topics`") from error
    except tomllib.TOMLDecodeError as error:
        message = f"this is not TOML ({error})"
        raise Misconfigured(message, subject=path.name, remedy="correct the file") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Misconfigured(
            first["msg"].lower(), subject=f"{path.name}, {where}", remedy="correct the file"
        ) from None
    return {name: getattr(found, name) for name in _Families.model_fields}
