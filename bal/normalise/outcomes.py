"""Outcomes: what becomes of every reading of a message, in document order."""

from collections.abc import Iterator

from bal.core.limits import DUPLICATE_WINDOW
from bal.core.message import Duplicate, Message, Outcome, Rejection
from bal.core.pseudonym import PseudonymKey
from bal.core.reading import Reading
from bal.core.source import Source
from bal.normalise.cim import cim_outcomes
from bal.normalise.pmu import pmu_outcomes


def outcomes(message: Message, source: Source, key: PseudonymKey, received_at: int) -> Iterator[Outcome]:
    """Yield a `Reading`, a `Rejection` or a `Duplicate` for every reading of `message`.

    The same for the same arguments. A duplicate has the natural key and the content of the last reading of that key
    before it in the message, as far back as `DUPLICATE_WINDOW` measuring points and times. Raises `Unreadable` before
    anything is yielded.
    """
    read = cim_outcomes if message.form == "cim" else pmu_outcomes
    return marked(read(message, source, key, received_at), DUPLICATE_WINDOW // 2)


def marked(found: Iterator[Reading | Rejection], generation: int) -> Iterator[Outcome]:
    """Yield `found` with repeated readings replaced by `Duplicate`.

    Remembers between one and two generations of keys: when the younger is full, the elder is dropped.
    """
    young: dict[object, object] = {}
    old: dict[object, object] = {}
    duplicate = Duplicate()
    for outcome in found:
        if type(outcome) is Reading:
            # source is one and the same; component is empty for meters and phase follows from the reading type
            _, point, component, _, kind, phase, value, unit, timestamp, interval, quality, _ = outcome
            natural = (point, component, kind, phase, timestamp)
            content = (value, unit, interval, quality)
            last = young.get(natural)
            if last is None and old:
                last = old.get(natural)
            if len(young) >= generation:
                old, young = young, {}
            young[natural] = content
            if last == content:
                yield duplicate
                continue
        yield outcome
