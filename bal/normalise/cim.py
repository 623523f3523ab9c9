"""CIM: the readings of an IEC 61968-9 document."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from xml.sax.saxutils import escape

from bal.core.errors import Malformed
from bal.core.limits import IDENTIFIER_CHARACTERS, QUALITY_CODES
from bal.core.message import Message, Rejection
from bal.core.pseudonym import IdentifierKind, PseudonymKey
from bal.core.quality import PENDING, PERIOD, UNREADABLE_QUALITY, RuleBroken, is_quality_code, join_codes
from bal.core.reading import Reading
from bal.core.reading_type import decode
from bal.core.source import Source
from bal.core.value import canonical_value
from bal.normalise.document import Document
from bal.normalise.records import RawMeterReading, RawReading, Survey
from bal.normalise.refusal import UNFORESEEN, Refusal
from bal.normalise.times import TimeReader, whole_seconds

SPLIT_READINGS = 8192
"""A `MeterReading` of a streamed document is handed out in parts of this size."""


class _Type(NamedTuple):
    code: str
    quantity: str
    phase: str
    unit: str
    multiplier: int
    interval: int
    flags: tuple[str, ...]
    quality: str


@lru_cache(maxsize=1 << 16)
def pseudonym(key: PseudonymKey, source: str, kind: IdentifierKind, identifier: str) -> str:
    """Return the pseudonym of an identifier, remembered: a meter sends all day."""
    return key.pseudonym(source, kind, identifier)


def cim_outcomes(
    message: Message, source: Source, key: PseudonymKey, received_at: int
) -> Iterator[Reading | Rejection]:
    """Yield a reading or a rejection for every reading of the document, in document order.

    A document held in memory is read whole before anything is yielded; a streamed one is read twice, first to see that it
    is well-formed and to find what stands behind its use. Raises `Unreadable` before anything is yielded.
    """
    if isinstance(message.body, bytes):
        document = Document(message.body)
        records = list(document.records())
        reader = CimReader(source, key, received_at, document.found)
        for record in records:
            yield from reader.outcomes(record)
        return
    with message.body() as body:
        document = Document(body, split=SPLIT_READINGS)
        for _ in document.records():
            pass
    survey = document.found
    reader = CimReader(source, key, received_at, survey)
    with message.body() as body:
        for record in Document(body, split=SPLIT_READINGS, survey=survey).records():
            yield from reader.outcomes(record)


class CimReader:
    """Makes readings of the records of one document."""

    def __init__(self, source: Source, key: PseudonymKey, received_at: int, survey: Survey) -> None:
        self._source, self._key, self._received_at = source, key, received_at
        self._definitions = survey.definitions
        self._times = TimeReader(source.time_zone)
        self._types: dict[str, _Type] = {}
        self._rules = source.rules
        self._earliest, self._latest = source.rules.trouble_free(received_at)
        if not source.rules.only_clock:
            self._latest = -1

    def outcomes(self, record: RawMeterReading) -> Iterator[Reading | Rejection]:
        """Yield the outcome of every reading of a record; an error in one leaves its neighbours as they are."""
        where = f"MeterReadings[{record.group}]/" if record.group > 1 or not record.number else ""
        where = where + f"MeterReading[{record.number}]" if record.number else where.rstrip("/")
        if record.misplaced:
            yield Rejection("readings stand where the standard has none", where, b"", "structure")
            return
        if record.strange and record.whole and not record.readings:
            reason = (
                "the MeterReading has no Readings or IntervalBlocks, but elements that are not the standard's"
            )
            yield Rejection(reason, where, b"", "structure")
            return
        point = ""
        fault: Refusal | None = None
        if record.readings:
            try:
                point = self._point(record)
            except Refusal as refusal:
                fault = refusal
        for raw in record.readings:
            try:
                if fault is not None:
                    raise fault
                reading = self._reading(point, raw)
            except Refusal as refusal:
                yield self._rejection(record, raw, where, refusal)
            except RuleBroken as broken:
                yield self._rejection(record, raw, where, Refusal(broken.what, code="rule"))
            except UNFORESEEN:
                yield self._rejection(record, raw, where, Refusal("the reading could not be read"))
            else:
                yield reading

    def _point(self, record: RawMeterReading) -> str:
        if record.conflict:
            raise Refusal("the MeterReading names two usage points or meters", code="point")
        kinds: tuple[tuple[IdentifierKind, str], ...] = (
            ("usage-point", record.usage_point),
            ("meter", record.meter),
        )
        if self._source.point_from == "meter":
            kinds = kinds[::-1]
        for kind, identifier in kinds:
            if identifier:
                if len(identifier) > IDENTIFIER_CHARACTERS:
                    raise Refusal("the identifier of the usage point or meter is too long", code="point")
                return pseudonym(self._key, self._source.name, kind, identifier)
        raise Refusal("neither a usage point nor a meter is identified", code="point")

    def _type(self, text: str) -> _Type:
        code = text.strip()
        try:
            decoded = decode(self._definitions.get(code, code))
        except Malformed:
            reason = "the reading type is not a CIM code" if code else "the reading type is missing"
            raise Refusal(reason, place="ReadingType", code="reading-type") from None
        known = _Type(
            decoded.code,
            decoded.quantity,
            decoded.phase,
            decoded.unit,
            decoded.multiplier,
            decoded.interval,
            decoded.flags,
            join_codes(decoded.flags),
        )
        if len(self._types) < 4096:
            self._types[text] = known
        return known

    def _reading(self, point: str, raw: RawReading) -> Reading:
        _, _, value, time, reference, start, end, qualities, fault = raw
        if fault:
            raise Refusal("a part of the reading is given twice, too long, or no plain text", place=fault)
        block, text = (None, reference) if isinstance(reference, str) else (reference, reference.text)
        kind = self._types.get(text) or self._type(text)
        timestamp, interval, agreed = self._when(time, start, end, kind.interval)
        quality = kind.quality if agreed else join_codes((*kind.flags, PERIOD))
        if qualities:
            quality = _quality(quality, qualities)
        if block is not None and block.pending:
            quality = join_codes((*quality.split(), PENDING))
        if value is None:
            raise Refusal("the value is missing", place="value", code="value")
        try:
            canonical = canonical_value(value, kind.multiplier)
        except Malformed as error:
            raise Refusal(error.what, place="value", code="value") from None
        reading = Reading(
            self._source.name,
            point,
            "",
            kind.quantity,
            kind.code,
            kind.phase,
            canonical,
            kind.unit,
            timestamp,
            interval,
            quality,
            self._received_at,
        )
        if timestamp > self._latest or timestamp < self._earliest:
            flags = self._rules.check(reading)
            if flags:
                return reading._replace(quality=join_codes((*quality.split(), *flags)))
        return reading

    def _when(
        self, time: str | None, start: str | None, end: str | None, interval: int
    ) -> tuple[int, int, bool]:
        """Return timestamp, interval and whether everything that is said of them agrees.

        The time stamp is what the document says it is; the period gives the length, being nearer to the value than its type.
        """
        place = "timeStamp"
        try:
            timestamp = self._times.read(time) if time is not None else None
            if start is None and end is None:
                if timestamp is None:
                    raise Refusal("the time is missing", code="timestamp")
                return timestamp, interval, True
            place = "timePeriod"
            finish = self._times.read(end) if end is not None else timestamp
            if finish is None:
                raise Refusal("the time is missing", code="timestamp")
            agreed = timestamp in (None, finish)
            if start is not None:
                length = whole_seconds(self._times.read(start), finish)
                agreed = agreed and interval in (0, length)
                interval = length
            return (finish if timestamp is None else timestamp), interval, agreed
        except Refusal as refusal:
            refusal.place = place
            raise

    @staticmethod
    def _rejection(record: RawMeterReading, raw: RawReading, where: str, refusal: Refusal) -> Rejection:
        if raw.block:
            where = f"{where}/IntervalBlocks[{raw.block}]/IntervalReadings[{raw.number}]"
        else:
            where = f"{where}/Readings[{raw.number}]"
        if refusal.place:
            where = f"{where}/{refusal.place}"
        return Rejection(refusal.what, where, fragment(record, raw), refusal.code)


def _quality(flags: str, texts: tuple[str, ...]) -> str:
    codes = set(flags.split())
    for text in texts:
        code = text.strip()
        codes.add(code if is_quality_code(code) and not code.startswith("bal.") else UNREADABLE_QUALITY)
    if len(codes) > QUALITY_CODES:
        raise Refusal(
            f"the reading has more than {QUALITY_CODES} quality codes",
            place="ReadingQualities",
            code="quality",
        )
    return " ".join(sorted(codes))


def fragment(record: RawMeterReading, raw: RawReading) -> bytes:
    """Return a document of just this reading, for quarantine: corrected, it can be sent as it is."""

    def element(name: str, text: str | None) -> str:
        return "" if text is None else f"<{name}>{escape(text)}</{name}>"

    def identified(name: str, identifier: str) -> str:
        return f"<{name}><mRID>{escape(identifier)}</mRID></{name}>" if identifier else ""

    reference = raw.type if isinstance(raw.type, str) else raw.type.text
    reference = escape(reference, {'"': "&quot;"})
    period = element("start", raw.start) + element("end", raw.end)
    qualities = "".join(
        f'<ReadingQualities><ReadingQualityType ref="{escape(code, {chr(34): "&quot;"})}"/></ReadingQualities>'
        for code in raw.qualities
    )
    return (
        '<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading>'
        f"{identified('Meter', record.meter)}<Readings>{element('timeStamp', raw.time)}{element('value', raw.value)}"
        f'{qualities}<ReadingType ref="{reference}"/>{f"<timePeriod>{period}</timePeriod>" if period else ""}</Readings>'
        f"{identified('UsagePoint', record.usage_point)}</MeterReading></MeterReadings>"
    ).encode()
