"""PMU: the readings of a JSON message of a phasor measurement unit.

    {"device": "pmu-1", "timestamp": "2026-01-31T12:00:00.02Z",
     "readings": [{"component": "BUS1", "measurand": "voltmagnitude", "phase": "A", "data": 230.1}]}

A reading may carry its own `timestamp` or `component`, else the message's hold. Numbers are taken as their digits stand
there and never pass through a float. A time is a text: a bare number would leave open whether it counts seconds or
milliseconds.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from bal.core.errors import Malformed, Unreadable
from bal.core.limits import IDENTIFIER_CHARACTERS, INLINE_MESSAGE_BYTES, XML_TEXT_CHARACTERS
from bal.core.message import Message, Rejection
from bal.core.pseudonym import PseudonymKey
from bal.core.quality import RuleBroken, join_codes
from bal.core.reading import Reading
from bal.core.reading_type import PMU_PHASES, measurand
from bal.core.source import Source
from bal.core.value import canonical_value
from bal.normalise.cim import pseudonym
from bal.normalise.guard import CHUNK_BYTES
from bal.normalise.refusal import UNFORESEEN, Refusal
from bal.normalise.times import TimeReader

_COMPONENT = re.compile(r"[A-Za-z0-9_#][A-Za-z0-9 ._:/#+@()\[\]-]{0,63}", re.ASCII)
_RESCALING: Final = frozenset({"multiplier", "scale", "factor", "exponent"})
"""Members that would change what `data` means."""
_NOT_FINITE: Final = object()
_MISSING: Final = object()


class _Number(str):
    """A JSON number, as its digits stand in the message."""

    __slots__ = ()


class _Doubled(dict[str, Any]):
    """A JSON object that names a member twice."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Doubled(members)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=lambda _: _NOT_FINITE
)


def pmu_outcomes(
    message: Message, source: Source, key: PseudonymKey, received_at: int
) -> Iterator[Reading | Rejection]:
    """Yield a reading or a rejection for every member of `readings`, in order.

    Raises `Unreadable` for what is no such message, a member named twice outside the readings, or a device that is not
    the topic's, before anything is yielded.
    """
    if isinstance(message.body, bytes):
        body = message.body
    else:
        body = b""
        with message.body() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                body += chunk
                if len(body) > INLINE_MESSAGE_BYTES:
                    raise Unreadable(
                        "a PMU message is larger than 8 MiB", remedy="send fewer readings a message"
                    )
    document = _decode(body)
    device = _device(document, message.device)
    readings = document.get("readings")
    if not isinstance(readings, list):
        raise Unreadable("the message has no list of readings")
    return PmuReader(source, key, received_at, device, document).outcomes(readings)


def _decode(body: bytes) -> dict[str, Any]:
    reason = "the message is not JSON in UTF-8"
    try:
        document = _DECODER.decode(body.removeprefix(b"\xef\xbb\xbf").decode())
    except RecursionError:
        raise Unreadable("the JSON is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(reason, subject=f"line {error.lineno}") from None
    except ValueError:
        raise Unreadable(reason) from None
    if not isinstance(document, dict):
        raise Unreadable("the message is not a JSON object")
    if isinstance(document, _Doubled):
        raise Unreadable("the message names a member twice")
    return document


def _device(document: dict[str, Any], topic_device: str) -> str:
    device = document.get("device", _MISSING)
    if device is _MISSING:
        if not topic_device:
            raise Unreadable("the message names no device")
        return topic_device
    if type(device) is not str or not 0 < len(device) <= IDENTIFIER_CHARACTERS or not _encodes(device):
        raise Unreadable("the device of the message is not a name")
    if topic_device and device != topic_device:
        raise Unreadable(
            "the device of the message is not the topic's", remedy="publish in the device's own topic"
        )
    return device


def _encodes(text: str) -> bool:
    """Tell whether `text` is Unicode without lone surrogates (JSON escapes can write them)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class PmuReader:
    """Makes readings of the members of one message."""

    def __init__(
        self, source: Source, key: PseudonymKey, received_at: int, device: str, document: dict[str, Any]
    ) -> None:
        self._source, self._received_at, self._document = source, received_at, document
        self._point = pseudonym(key, source.name, "device", device)
        self._times = TimeReader(source.time_zone)
        self._rules = source.rules
        self._earliest, self._latest = source.rules.trouble_free(received_at)
        if not source.rules.only_clock:
            self._latest = -1

    def outcomes(self, readings: list[Any]) -> Iterator[Reading | Rejection]:
        """Yield the outcome of every member; an error in one leaves its neighbours as they are."""
        for index, members in enumerate(readings):
            try:
                reading = self._reading(members)
            except Refusal as refusal:
                yield self._rejection(index, members, refusal)
            except RuleBroken as broken:
                yield self._rejection(index, members, Refusal(broken.what, code="rule"))
            except UNFORESEEN:
                yield self._rejection(index, members, Refusal("the reading could not be read"))
            else:
                yield reading

    def _rejection(self, index: int, members: Any, refusal: Refusal) -> Rejection:
        where = f"readings[{index}]"
        if refusal.place == "^timestamp":
            where = "timestamp"
        elif refusal.place:
            where = f"{where}.{refusal.place}"
        whole = {name: text for name, text in self._document.items() if name != "readings"}
        return Rejection(refusal.what, where, _text({**whole, "readings": [members]}), refusal.code)

    def _reading(self, members: Any) -> Reading:
        if not isinstance(members, dict):
            raise Refusal("the reading is not a JSON object")
        if isinstance(members, _Doubled):
            raise Refusal("the reading names a member twice")
        if not _RESCALING.isdisjoint(members):
            raise Refusal("the reading has a member that scales its data: send SI units", code="unit")
        name, phase = members.get("measurand"), members.get("phase")
        if type(name) is not str:
            raise Refusal("the measurand is missing or no text", place="measurand", code="reading-type")
        if type(phase) is str:
            phase = phase if phase in PMU_PHASES else _phase(phase)
        elif phase is None:
            phase = "none"
        else:
            raise Refusal("the phase is no text", place="phase", code="phase")
        try:
            kind = measurand(name if len(name) < 32 else "", phase)
        except Malformed:
            kind = self._tolerant(name, phase)
        if "unit" in members and members["unit"] != kind.unit:
            raise Refusal("the unit is not the measurand's SI unit", place="unit", code="unit")
        component = self._component(members)
        timestamp = self._timestamp(members)
        reading = Reading(
            self._source.name,
            self._point,
            component,
            kind.quantity,
            kind.code,
            kind.phase,
            _value(members),
            kind.unit,
            timestamp,
            0,
            "",
            self._received_at,
        )
        if timestamp > self._latest or timestamp < self._earliest:
            flags = self._rules.check(reading)
            if flags:
                return reading._replace(quality=join_codes(flags))
        return reading

    @staticmethod
    def _tolerant(name: str, phase: str) -> Any:
        """Return the reading type of a measurand written with capitals."""
        if phase not in PMU_PHASES:
            raise Refusal("the phase is not known", place="phase", code="phase")
        try:
            return measurand(name.strip().lower()[:32], phase)
        except Malformed:
            raise Refusal("the measurand is not known", place="measurand", code="reading-type") from None

    def _component(self, members: dict[str, Any]) -> str:
        component = members.get("component", self._document.get("component"))
        if component is None:
            return ""
        if type(component) is not str or (component and not _COMPONENT.fullmatch(component)):
            raise Refusal("the component is not a name of up to 64 characters", place="component")
        return component

    def _timestamp(self, members: dict[str, Any]) -> int:
        place, text = "timestamp", members.get("timestamp")
        if text is None:
            place, text = "^timestamp", self._document.get("timestamp")
        if type(text) is not str:
            reason = "the time is missing" if text is None else "the time is not an ISO 8601 text"
            raise Refusal(reason, place=place, code="timestamp")
        try:
            return self._times.read(text[:XML_TEXT_CHARACTERS])
        except Refusal as refusal:
            refusal.place = place
            raise


def _phase(text: str) -> str:
    """Return a phase written otherwise: small letters, or empty for none."""
    bare = text.strip()
    if not bare or bare.lower() == "none":
        return "none"
    return bare.upper()


def _value(members: dict[str, Any]) -> str:
    data = members.get("data")
    if type(data) is not _Number:
        if data is _NOT_FINITE:
            raise Refusal("the data is not finite", place="data", code="value")
        raise Refusal("the data is missing or no number", place="data", code="value")
    try:
        return canonical_value(str(data))  # exactly a str: parts cross processes by marshal
    except Malformed as error:
        raise Refusal(error.what, place="data", code="value") from None


def _text(value: Any) -> bytes:
    """Return a parsed value as JSON again, numbers with the digits they came with; `NaN` for what was not finite."""
    if type(value) is _Number:
        return str(value).encode()
    if value is _NOT_FINITE:
        return b"NaN"
    if isinstance(value, dict):
        return b"{" + b",".join(_text(name) + b":" + _text(member) for name, member in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(_text, value)) + b"]"
    return json.dumps(value).encode()
