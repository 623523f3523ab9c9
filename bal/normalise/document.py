"""Documents: IEC 61968-9 `MeterReadings` as the records they hold, read in one pass, whatever is around them.

No tree is built: memory depends on the largest `MeterReading`, not on the document, and every element is counted as it
opens. A `MeterReading` longer than `split` readings is handed out in parts; what stands behind them (meter, usage point,
type of the open block) comes from the `Survey` of a pass before.
"""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from lxml import etree

from bal.core.errors import Unreadable
from bal.normalise.guard import utf8_chunks
from bal.normalise.records import RawMeterReading, Survey
from bal.normalise.target import Target


class Document:
    """One pass over a document."""

    def __init__(
        self, body: bytes | BinaryIO, *, split: int | None = None, survey: Survey | None = None
    ) -> None:
        self._body = body
        self._target = Target(split, survey)

    @property
    def found(self) -> Survey:
        """What the pass has found so far."""
        return self._target.found

    def records(self) -> Iterator[RawMeterReading]:
        """Yield every `MeterReading`, in order; raise `Unreadable` where the document cannot be read any further."""
        target = self._target
        sink: Any = target
        parser = etree.XMLParser(
            target=sink,
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            recover=False,
        )
        for chunk in self._fed(parser, utf8_chunks(self._body)):
            del chunk
            yield from target.done
            target.done.clear()
        if not target.groups:
            reason = "there are no MeterReadings in the document"
            if target.compressed:
                reason += ": its payload is compressed"
            raise Unreadable(reason, remedy="send IEC 61968-9 MeterReadings as XML")

    @staticmethod
    def _fed(parser: Any, chunks: Iterable[bytes]) -> Iterator[None]:
        """Feed `chunks`; what the parser says of an error is not passed on, for it quotes the document."""
        try:
            for chunk in chunks:
                parser.feed(chunk)
                yield
            parser.close()
            yield
        except etree.XMLSyntaxError as error:
            line = error.lineno or 0
            raise Unreadable("the document is not well-formed XML", subject=f"line {line}") from None
