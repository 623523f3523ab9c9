"""IEC 61968-9 `MeterReadings`, bare or in an IEC 61968-100 `EventMessage`, in the spellings real senders use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID
from xml.sax.saxutils import escape

from bal.simulate.meter import Meter, MeterReading, readings
from bal.simulate.seeded import draw

READINGS_NAMESPACE: Final = "http://iec.ch/TC57/2011/MeterReadings#"
MESSAGE_NAMESPACE: Final = "http://iec.ch/TC57/2011/schema/message"
_PREFIXES: Final = ("", "m:", "ns0:", "mr:")
_OFFSETS: Final = (0, 1, 2)
"""Hours from UTC that times are written in: UTC, Central European time, its summer time."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one document is spelt. Its readings are the same in every spelling."""

    prefix: str
    message_prefix: str
    enveloped: bool
    blocks: bool
    """Interval readings in `IntervalBlocks`; otherwise among the `Readings`."""
    offset: int
    fraction: bool
    """Times with milliseconds."""

    @classmethod
    def of(cls, seed: int, number: int) -> "Style":
        """Return the spelling of document `number`."""
        bits = draw(seed, "style", number)
        return cls(
            prefix=_PREFIXES[bits % 4],
            message_prefix=("", "msg:")[bits >> 2 & 1],
            enveloped=bool(bits >> 3 & 1),
            blocks=bool(bits >> 4 & 1),
            offset=_OFFSETS[(bits >> 8) % 3],
            fraction=bool(bits >> 5 & 1),
        )


def chunks(
    seed: int, source: str, number: int, meters: Sequence[Meter], ends: Sequence[int]
) -> Iterator[bytes]:
    """Yield document `number` piece by piece: what `meters` report for the quarter hours that end at `ends`."""
    style = Style.of(seed, number)
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    if style.enveloped:
        yield _envelope_head(style, seed, source, number, ends[-1]).encode()
    name = f"{style.prefix}MeterReadings"
    yield f"<{name} {_declare(style.prefix, READINGS_NAMESPACE)}>\n".encode()
    for who in meters:
        yield _meter_reading(
            style, who, [reading for end in ends for reading in readings(seed, who, end)]
        ).encode()
    yield f"</{name}>\n".encode()
    if style.enveloped:
        p = style.message_prefix
        yield f"</{p}Payload></{p}EventMessage>\n".encode()


def document(seed: int, source: str, number: int, meters: Sequence[Meter], ends: Sequence[int]) -> bytes:
    """Return document `number` as a whole."""
    return b"".join(chunks(seed, source, number, meters, ends))


def _declare(prefix: str, namespace: str) -> str:
    return f'xmlns:{prefix[:-1]}="{namespace}"' if prefix else f'xmlns="{namespace}"'


def _envelope_head(style: Style, seed: int, source: str, number: int, end: int) -> str:
    p = style.message_prefix
    name = UUID(int=draw(seed, "message", number) << 64 | draw(seed, "correlation", number), version=4)
    return (
        f"<{p}EventMessage {_declare(p, MESSAGE_NAMESPACE)}>\n<{p}Header><{p}Verb>created</{p}Verb>"
        f"<{p}Noun>MeterReadings</{p}Noun><{p}Timestamp>{_time(end, style.offset, style.fraction)}</{p}Timestamp>"
        f"<{p}Source>{escape(source)}</{p}Source><{p}MessageID>{name}</{p}MessageID></{p}Header>\n<{p}Payload>\n"
    )


@lru_cache(maxsize=1024)
def _time(seconds: int, offset: int, fraction: bool) -> str:  # noqa: FBT001 - a cache key
    moment = datetime.fromtimestamp(seconds, UTC) + timedelta(hours=offset)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + (".000" if fraction else "")
    return f"{text}+{offset:02d}:00" if offset else f"{text}Z"


def _meter_reading(style: Style, who: Meter, found: Sequence[MeterReading]) -> str:
    """Return one `MeterReading`; its members stand in the order of the standard's schema."""
    p = style.prefix
    parts = [f"<{p}MeterReading>\n"]
    others = found
    if style.blocks:
        others = [reading for reading in found if not reading.interval]
        parts += _interval_blocks(style, [reading for reading in found if reading.interval])
    parts.append(
        f"<{p}Meter><{p}mRID>{escape(who.serial)}</{p}mRID><{p}Names><{p}name>{escape(who.serial)}</{p}name>"
        f"<{p}NameType><{p}name>SerialNumber</{p}name></{p}NameType></{p}Names></{p}Meter>\n"
    )
    parts += [_reading(style, f"{p}Readings", reading, with_type=True) for reading in others]
    if who.usage_point:
        parts.append(f"<{p}UsagePoint><{p}mRID>{escape(who.usage_point)}</{p}mRID></{p}UsagePoint>\n")
    parts.append(f"</{p}MeterReading>\n")
    return "".join(parts)


def _interval_blocks(style: Style, found: Sequence[MeterReading]) -> Iterator[str]:
    p = style.prefix
    for reading_type in dict.fromkeys(reading.reading_type for reading in found):
        yield f"<{p}IntervalBlocks>"
        for reading in found:
            if reading.reading_type == reading_type:
                yield _reading(style, f"{p}IntervalReadings", reading, with_type=False)
        yield f'<{p}ReadingType ref="{reading_type}"/></{p}IntervalBlocks>\n'


def _reading(style: Style, name: str, reading: MeterReading, *, with_type: bool) -> str:
    p = style.prefix
    quality = ""
    if reading.quality:
        quality = (
            f"<{p}ReadingQualities><{p}comment>substituted &amp; estimated</{p}comment>"
            f'<{p}ReadingQualityType ref="{reading.quality}"/></{p}ReadingQualities>'
        )
    kind = f'<{p}ReadingType ref="{reading.reading_type}"/>' if with_type else ""
    time = _time(reading.end, style.offset, style.fraction)
    return f"<{name}><{p}timeStamp>{time}</{p}timeStamp><{p}value>{reading.text}</{p}value>{quality}{kind}</{name}>\n"
