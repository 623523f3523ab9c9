"""MQTT topics: their grammar (OASIS MQTT 3.1.1, section 4.7), the BAL's own, and foreign ones that stand for them."""

import re
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from bal.core.errors import Malformed
from bal.core.message import Form
from bal.core.names import is_name

ROOT = "bal"
TOPIC_CHARACTERS = 512
"""Longest topic or filter looked at. The BAL's own stay under 120; MQTT itself would allow 65,535 bytes."""
TOPIC_LEVELS = 16
"""Most levels of a topic or filter: matching costs a step a level, and field buses stay under ten."""
MISNAMED = "the device in the topic is not a name: 1 to 48 of a-z, 0-9 and '-'"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Rights(NamedTuple):
    """What an identity may do on the broker: topic filters it may publish to and subscribe to.

    A filter grants what it matches and nothing wider. Nothing granted reaches topics that begin with `$`.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def may_publish(self, topic: str) -> bool:
        """Tell whether a message may be published to `topic`."""
        return is_topic(topic) and any(matches(granted, topic) for granted in self.publish)

    def may_subscribe(self, topic_filter: str) -> bool:
        """Tell whether every topic `topic_filter` matches, now or later, is granted by one filter."""
        return is_filter(topic_filter) and any(covers(granted, topic_filter) for granted in self.subscribe)

    def may_receive(self, topic: str) -> bool:
        """Tell whether a message on `topic` may be delivered."""
        return is_topic(topic) and any(matches(granted, topic) for granted in self.subscribe)

    def __or__(self, other: "Rights") -> "Rights":
        return Rights(self.publish + other.publish, self.subscribe + other.subscribe)


NO_RIGHTS = Rights()
ALL_RIGHTS = Rights(("#",), ("#",))
"""The BAL's own client."""


class Destination(NamedTuple):
    """What a topic that carries documents stands for."""

    source: str
    form: Form
    device: str = ""
    """The device a PMU topic names; empty for CIM."""
    refusal: str = ""
    """Why nothing that arrives there is taken; empty where it is."""


def _is_text(topic: str) -> bool:
    return (
        0 < len(topic) <= TOPIC_CHARACTERS
        and topic.count("/") < TOPIC_LEVELS
        and not topic.startswith("$")  # $SYS, $share/...: the broker's own and shared subscriptions
        and not _FORBIDDEN.search(topic)
    )


def is_topic(topic: str) -> bool:
    """Tell whether `topic` can be published to: no wildcard, no control character, bounded, none of the broker's own."""
    return _is_text(topic) and "+" not in topic and "#" not in topic


def is_filter(topic_filter: str) -> bool:
    """Tell whether `topic_filter` is a filter: `+` and `#` as whole levels, `#` last; bounds as for topics."""
    if not _is_text(topic_filter):
        return False
    levels = topic_filter.split("/")
    return all(level == "+" or ("+" not in level and "#" not in level) for level in levels[:-1]) and (
        levels[-1] in {"+", "#"} or ("+" not in levels[-1] and "#" not in levels[-1])
    )


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether `topic_filter` matches `topic` (MQTT 3.1.1, 4.7.1; `$` topics by a literal first level only)."""
    if topic_filter == topic:
        return True
    if "+" not in topic_filter and "#" not in topic_filter:
        return False
    return covers(topic_filter, topic)


def covers(granted: str, wanted: str) -> bool:
    """Tell whether the filter `granted` matches every topic that the filter `wanted` matches."""
    if wanted.startswith("$") and not granted.startswith("$"):
        return False
    have, want = granted.split("/"), wanted.split("/")
    for place, level in enumerate(have):
        if level == "#":
            return True  # also the parent level itself (4.7.1.2)
        if place >= len(want) or want[place] == "#" or (level not in {"+", want[place]}):
            return False
    return len(have) == len(want)


def cim_topic(source: str) -> str:
    """Return where `source` sends IEC 61968-9 documents."""
    return f"{ROOT}/{source}/cim"


def pmu_topic(source: str, device: str) -> str:
    """Return where `source` sends what `device` measured."""
    return f"{ROOT}/{source}/pmu/{device}"


def accepted_topic(source: str) -> str:
    """Return where `source` reads its receipts."""
    return f"{ROOT}/{source}/accepted"


def rejected_topic(source: str) -> str:
    """Return where `source` reads what was refused and why."""
    return f"{ROOT}/{source}/rejected"


def certified_topic(source: str, point: str) -> str:
    """Return where the certificates of a measuring point (pseudonym) appear."""
    return f"{ROOT}/{source}/certified/{point}"


def readings_topic(source: str, point: str) -> str:
    """Return where the flat readings of a measuring point (pseudonym) appear."""
    return f"{ROOT}/{source}/readings/{point}"


def parse_topic(topic: str) -> Destination | None:
    """Return what `bal/{source}/cim` or `bal/{source}/pmu/{device}` stands for, None for any other topic.

    A source may publish under any device, as a broker's rights cannot say what a name is: one that is none is refused here.
    """
    levels = topic.split("/", 4)
    if len(levels) < 3 or levels[0] != ROOT or not is_name(levels[1]):
        return None
    if len(levels) == 3 and levels[2] == "cim":
        return Destination(levels[1], "cim")
    if len(levels) == 4 and levels[2] == "pmu":
        named = is_name(levels[3])
        return Destination(levels[1], "pmu", levels[3] if named else "", "" if named else MISNAMED)
    return None


class TopicMapping(BaseModel):
    """A foreign topic of a source, and which of the two forms arrives there.

    `topic` is a topic whose levels may be `+` (any text), the first one never. `device_level` counts levels from 0 and
    says which one names the device; `device` names it where no level does. One of the two goes with `pmu`, neither
    with `cim`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    form: Form
    device_level: int | None = None
    device: str = ""

    @field_validator("topic")
    @classmethod
    def _topic(cls, topic: str) -> str:
        levels = topic.split("/")
        if not is_filter(topic) or "#" in topic or levels[0] in {ROOT, "+", ""}:
            message = "this foreign topic is not allowed"
            raise ValueError(message)
        return topic

    @model_validator(mode="after")
    def _device(self) -> Self:
        level = self.device_level
        if self.form == "cim":
            if level is not None or self.device:
                message = "a topic of CIM documents names no device"
                raise ValueError(message)
        elif (level is None) == (not self.device) or (
            level is not None and not 0 <= level <= self.topic.count("/")
        ):
            message = (
                "a PMU topic needs either the number of the level that names the device or the device's name"
            )
            raise ValueError(message)
        elif self.device and not is_name(self.device):
            message = "this device name is not allowed"
            raise ValueError(message)
        return self

    def destination(self, source: str, topic: str) -> Destination | None:
        """Return what `topic` stands for when it is one of `source`'s under this mapping, else None."""
        if not matches(self.topic, topic):
            return None
        if self.device_level is None:
            return Destination(source, self.form, self.device)
        device = topic.split("/")[self.device_level]
        return Destination(source, self.form, device) if device else None

    def overlaps(self, other: "TopicMapping") -> bool:
        """Tell whether some topic falls under both."""
        mine, theirs = self.topic.split("/"), other.topic.split("/")
        return len(mine) == len(theirs) and all(
            a == b or "+" in {a, b} for a, b in zip(mine, theirs, strict=True)
        )


def check_topic(topic: str) -> str:
    """Return `topic` when it can be published to; raise `Malformed` otherwise."""
    if not is_topic(topic):
        message = "this is not a topic that can be published to"
        raise Malformed(
            message, remedy=f"use at most {TOPIC_LEVELS} levels, no '+', '#' or '$', no control characters"
        )
    return topic
