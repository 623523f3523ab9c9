"""Target: how an IEC 61968-9 document is taken apart, element by element.

The order of elements is not relied on: the standard's own schema puts the meter behind the readings and a block's
reading type behind its intervals.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from bal.core.errors import Unreadable
from bal.core.identifier import point_identifier
from bal.core.limits import XML_DEPTH, XML_TEXT_CHARACTERS
from bal.core.reading_type import ATTRIBUTE_NAMES
from bal.normalise.records import BlockType, RawMeterReading, RawReading, Survey
from bal.normalise.type_text import code_of

ATTRIBUTES = 64
"""Most attributes of an element; the standard's have one."""
DEFINITIONS = 10_000
"""Most reading types a document defines; the standard's tables make a few hundred that meters send."""
_NAMES_REMEMBERED = 1024

_IEC = re.compile(r"(?:https?://(?:www\.)?iec\.ch/TC57/[^{}]{0,100})?", re.IGNORECASE)
_FOREIGN = "\0"
_XINCLUDE = "{http://www.w3.org/2001/XInclude}"


class _Context(NamedTuple):
    children: dict[str, Any]
    begin: Callable[["Target", Mapping[str, str]], None] | None = None
    end: Callable[["Target"], None] | None = None


class Target:
    """What lxml tells of a document, element by element."""

    def __init__(self, split: int | None, survey: Survey | None) -> None:
        self.done: list[RawMeterReading] = []
        self.found = Survey()
        self.groups = 0
        self.compressed = False
        self._split, self._survey = split, survey
        self._names: dict[str, str] = {}
        self._depth = self._ignoring = 0
        self._stack: list[_Context | None] = []
        self._context: _Context | None = None
        self._leaf = ""
        self._text: list[str] = []
        self._meter_readings = self._blocks = self._readings = self._intervals = 0
        self._in_block = self._handed_out = False
        self._record = RawMeterReading(0, 0)
        self._fields: dict[str, str] = {}
        self._type: str | BlockType = ""
        self._block_type = BlockType()
        self._block_split = False
        self._qualities: tuple[str, ...] = ()
        self._outer: list[dict[str, str]] = []
        self._named: list[tuple[str, str, str]] = []
        self._reference = ""

    # --- called by lxml -------------------------------------------------------------------------------------------
    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Open an element."""
        self._depth += 1
        if self._depth > XML_DEPTH:
            raise Unreadable(f"the document is nested deeper than {XML_DEPTH} elements")
        if attributes and len(attributes) > ATTRIBUTES:
            raise Unreadable(f"an element of the document has more than {ATTRIBUTES} attributes")
        name = self._names.get(tag) or self._name(tag)
        if self._ignoring:
            self._ignoring += 1
            return
        if self._leaf:
            self._fields["fault"] = self._leaf
            self._ignoring = 1
            return
        context = self._context
        if context is None:
            self._envelope(name)
            return
        child = context.children.get(name)
        if child is None:
            self._unknown(name)
            self._ignoring = 1
        elif type(child) is str:
            self._leaf = child
        else:
            self._stack.append(context)
            self._context = child
            if child.begin is not None:
                child.begin(self, attributes)

    def end(self, _: str) -> None:
        """Close the innermost element."""
        self._depth -= 1
        if self._ignoring:
            self._ignoring -= 1
            return
        leaf = self._leaf
        if leaf:
            text = "".join(self._text)
            self._text.clear()
            self._leaf = ""
            if leaf in self._fields or len(text) > XML_TEXT_CHARACTERS:
                self._fields["fault"] = leaf
            else:
                self._fields[leaf] = text
            return
        context = self._context
        if context is not None:
            if context.end is not None:
                context.end(self)
            self._context = self._stack.pop()

    def data(self, text: str) -> None:
        """Take some of the text of the innermost element."""
        if self._leaf and not self._ignoring:
            self._text.append(text)

    def doctype(self, *_: object) -> None:
        """Refuse: behind `Prologue`, a second lock."""
        raise Unreadable(
            "the document has a document type declaration (DOCTYPE)", remedy="send it without one"
        )

    def close(self) -> None:
        """End the document; nothing is built that could be returned."""
        return

    # --- names ----------------------------------------------------------------------------------------------------
    def _name(self, tag: str) -> str:
        """Return the local name of `tag`, marked where its namespace is not IEC TC 57's."""
        if tag.startswith(_XINCLUDE):
            raise Unreadable(
                "the document has an XInclude element", remedy="send it with everything included"
            )
        namespace, _, name = tag.rpartition("}")
        if not _IEC.fullmatch(namespace.removeprefix("{")):
            name = _FOREIGN + name
        if len(self._names) < _NAMES_REMEMBERED:
            self._names[tag] = name
        return name

    def _envelope(self, name: str) -> None:
        if name == "MeterReadings":
            self.groups += 1
            self._meter_readings = 0
            self._stack.append(None)
            self._context = _METER_READINGS
        elif name == _FOREIGN + "MeterReadings":
            raise Unreadable(
                "the MeterReadings of the document are in a namespace that is not IEC TC 57's",
                remedy="send http://iec.ch/TC57/2011/MeterReadings#",
            )
        elif name == "Compressed":
            self.compressed = True

    def _unknown(self, name: str) -> None:
        bare = name.removeprefix(_FOREIGN)
        if bare in _HOLDERS and self._context in (_METER_READINGS, _METER_READING, _BLOCK):
            if name is not bare:
                raise Unreadable("readings of the document are in a namespace that is not IEC TC 57's")
            number = 0 if self._context is _METER_READINGS else self._meter_readings
            self.done.append(RawMeterReading(self.groups, number, misplaced=True))
        elif self._context is _METER_READING and bare not in _SIBLINGS:
            self._record.strange = True

    # --- MeterReading ---------------------------------------------------------------------------------------------
    def begin_meter_reading(self, _: Mapping[str, str]) -> None:
        """Begin a record."""
        self._meter_readings += 1
        self._blocks = self._readings = 0
        self._handed_out = False
        self._record = RawMeterReading(self.groups, self._meter_readings)

    def end_meter_reading(self) -> None:
        """Hand the record out."""
        record = self._record
        place = (record.group, record.number)
        if self._handed_out:
            self.found.points[place] = (record.usage_point, record.meter, record.conflict)
            record.whole = False
        self.done.append(record)

    def _hand_out(self) -> None:
        """Hand out the readings so far of a long `MeterReading`, with what the survey knows of what follows."""
        record, survey = self._record, self._survey
        part = RawMeterReading(record.group, record.number, readings=record.readings, whole=False)
        if survey is not None:
            part.usage_point, part.meter, part.conflict = survey.points.get(
                (part.group, part.number), ("", "", False)
            )
            known = survey.blocks.get((part.group, part.number, self._blocks)) if self._in_block else None
            if known is not None:
                self._block_type.text, self._block_type.pending = known.text, known.pending
        self.done.append(part)
        record.readings = []
        self._handed_out, self._block_split = True, self._in_block

    def begin_block(self, _: Mapping[str, str]) -> None:
        """Begin an `IntervalBlocks`."""
        self._blocks += 1
        self._intervals = 0
        self._in_block, self._block_split = True, False
        self._block_type = BlockType()
        self._fields = {}

    def end_block(self) -> None:
        """Keep the type of a block that was split."""
        if self._block_split:
            self.found.blocks[self._record.group, self._record.number, self._blocks] = self._block_type
        self._in_block = False

    def begin_pending(self, _: Mapping[str, str]) -> None:
        """Keep that values of the block wait for a calculation."""
        self._block_type.pending = True

    def begin_reading(self, _: Mapping[str, str]) -> None:
        """Begin one of the `Readings` or `IntervalReadings`."""
        self._fields = {}
        self._qualities = ()
        if self._in_block:
            self._intervals += 1
            self._type = self._block_type
        else:
            self._readings += 1
            self._type = ""

    def end_reading(self) -> None:
        """Add the reading to its record."""
        get = self._fields.get
        in_block = self._in_block
        readings = self._record.readings
        readings.append(
            RawReading(
                self._blocks if in_block else 0,
                self._intervals if in_block else self._readings,
                get("value"),
                get("timeStamp"),
                self._type,
                get("start"),
                get("end"),
                self._qualities,
                get("fault", ""),
            )
        )
        if self._split is not None and len(readings) >= self._split:
            self._hand_out()

    # --- identified objects ---------------------------------------------------------------------------------------
    def begin_identified(self, attributes: Mapping[str, str]) -> None:
        """Begin an object with mRID and names, or a reference to one."""
        self._outer.append(self._fields)
        self._fields = {}
        self._named = []
        self._reference = ""
        if attributes:
            for name, text in attributes.items():
                if name in _REFERENCES:
                    self._reference = text[:XML_TEXT_CHARACTERS].removeprefix("#")

    def end_name(self) -> None:
        """Keep one of the names of an object."""
        get = self._fields.pop
        name, kind, authority = get("name", ""), get("nameType", ""), get("authority", "")
        if len(self._named) < ATTRIBUTES:
            self._named.append((name.strip(), kind.strip(), authority.strip()))

    def _identifier(self) -> str:
        mrid = self._fields.get("mRID", "").strip() or self._reference.strip()
        return point_identifier(mrid, self._named)

    def end_meter(self) -> None:
        """Keep the meter's identifier."""
        identifier, fields = self._identifier(), self._fields
        record = self._record
        record.conflict |= "fault" in fields or bool(
            record.meter and identifier and record.meter != identifier
        )
        record.meter = record.meter or identifier
        self._fields = self._outer.pop()

    def end_usage_point(self) -> None:
        """Keep the usage point's identifier."""
        identifier, fields = self._identifier(), self._fields
        record = self._record
        known = record.usage_point
        record.conflict |= "fault" in fields or bool(known and identifier and known != identifier)
        record.usage_point = known or identifier
        self._fields = self._outer.pop()

    def end_type(self) -> None:
        """Keep the type of a reading or of a block."""
        code = code_of(self._reference, self._fields, self._named)
        fields = self._fields = self._outer.pop()
        if self._stack[-1] is _BLOCK:
            self._block_type.text = self._block_type.text or code
            return
        if self._type and type(self._type) is str:
            fields["fault"] = "ReadingType"
        self._type = code

    def end_definition(self) -> None:
        """Keep a reading type that the document defines for its readings to refer to."""
        code = code_of("", self._fields, self._named)
        keys = [self._reference, self._fields.get("mRID", "").strip(), *(name for name, _, _ in self._named)]
        self._fields = self._outer.pop()
        if len(self.found.definitions) > DEFINITIONS:
            raise Unreadable(f"the document defines more than {DEFINITIONS} reading types")
        for name in keys:
            if name:
                self.found.definitions.setdefault(name, code)

    def end_quality(self) -> None:
        """Keep a quality given by reference or mRID."""
        code = self._fields.get("mRID") or self._reference
        self._fields = self._outer.pop()
        if code:
            self._qualities = (*self._qualities[:ATTRIBUTES], code)

    def end_quality_text(self) -> None:
        """Keep a quality given as the first edition does, as text."""
        code = self._fields.pop("quality", "")
        if code:
            self._qualities = (*self._qualities[:ATTRIBUTES], code)


_AUTHORITY = _Context({"name": "authority"})
_NAME_TYPE = _Context({"name": "nameType", "NameTypeAuthority": _AUTHORITY})
_NAMES = _Context({"name": "name", "NameType": _NAME_TYPE}, end=Target.end_name)
_IDENTIFIED: Final[dict[str, Any]] = {"mRID": "mRID", "Names": _NAMES}
_METER = _Context(_IDENTIFIED, Target.begin_identified, Target.end_meter)
_USAGE_POINT = _Context(_IDENTIFIED, Target.begin_identified, Target.end_usage_point)
_TYPE_PARTS: Final[dict[str, Any]] = {
    **_IDENTIFIED,
    **{name: name for name in ATTRIBUTE_NAMES if not name.endswith("ator")},
    "interharmonic": _Context(
        {"numerator": "interharmonicNumerator", "denominator": "interharmonicDenominator"}
    ),
    "argument": _Context({"numerator": "argumentNumerator", "denominator": "argumentDenominator"}),
}
_TYPE = _Context(_TYPE_PARTS, Target.begin_identified, Target.end_type)
_DEFINITION = _Context(_TYPE_PARTS, Target.begin_identified, Target.end_definition)
_QUALITY_TYPE = _Context({"mRID": "mRID"}, Target.begin_identified, Target.end_quality)
_QUALITY = _Context(
    {"ReadingQualityType": _QUALITY_TYPE, "ReadingQuality": _QUALITY_TYPE, "quality": "quality"},
    end=Target.end_quality_text,
)
_READING = _Context(
    {
        "value": "value",
        "timeStamp": "timeStamp",
        "ReadingType": _TYPE,
        "ReadingQualities": _QUALITY,
        "timePeriod": _Context({"start": "start", "end": "end"}),
    },
    Target.begin_reading,
    Target.end_reading,
)
_PENDING = _Context({}, Target.begin_pending)
_BLOCK = _Context(
    {
        "IntervalReadings": _READING,
        "IntervalReading": _READING,
        "ReadingType": _TYPE,
        "pending": _PENDING,
        "Pending": _PENDING,
        "PendingCalculation": _PENDING,
    },
    Target.begin_block,
    Target.end_block,
)
_METER_READING = _Context(
    {
        "Readings": _READING,
        "Reading": _READING,
        "IntervalBlocks": _BLOCK,
        "IntervalBlock": _BLOCK,
        "Meter": _METER,
        "MeterAsset": _METER,
        "UsagePoint": _USAGE_POINT,
        "ServiceDeliveryPoint": _USAGE_POINT,
    },
    Target.begin_meter_reading,
    Target.end_meter_reading,
)
_METER_READINGS = _Context({"MeterReading": _METER_READING, "ReadingType": _DEFINITION})
_HOLDERS: Final = frozenset(
    {"MeterReadings", *_METER_READINGS.children, *_METER_READING.children, *_BLOCK.children}
    - {"ReadingType", "Meter", "MeterAsset", "UsagePoint", "ServiceDeliveryPoint"}
    - {"pending", "Pending", "PendingCalculation"}
)
_SIBLINGS: Final = frozenset(
    {"isCoincidentTrigger", "CustomerAgreement", "EndDeviceEvents", "valuesInterval", "mRID", "Names"}
)
"""What else the standard puts into a `MeterReading`."""
_REFERENCES: Final = frozenset({"ref", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource"})
