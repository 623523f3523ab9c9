"""Parts: the outcomes of a message with salts and leaves, in portions, as plain data that is cheap to send.

A packed part is `marshal` data (both ends run the same interpreter) with the readings by column: half the work of pickled
named tuples.
"""

import hashlib
import marshal
from collections.abc import Iterator

from bal.core.entry import expand_salts, leaves
from bal.core.errors import BalError, Unreadable
from bal.core.limits import BATCH_LEAVES
from bal.core.message import Message, Rejection
from bal.core.pseudonym import PseudonymKey
from bal.core.reading import Reading
from bal.core.source import Source
from bal.normalise.outcomes import outcomes
from bal.ports import NormalisedPart

PART_OUTCOMES = BATCH_LEAVES
"""Outcomes of a full part."""


def part_seed(seed: bytes, number: int) -> bytes:
    """Return the seed of a part's salts: SHA-256(seed || part number, 8 bytes big-endian); parts count from 0.

    The salts of a part are `expand_salts(part_seed(seed, number), n)` for its n readings in order. Parts are cut after every
    `PART_OUTCOMES` outcomes counted from `skip`, so that the salts follow from message, seed and skip alone.
    """
    return hashlib.sha256(seed + number.to_bytes(8, "big")).digest()


def parts(
    message: Message,
    source: Source,
    key: PseudonymKey,
    received_at: int,
    seed: bytes,
    skip: int,
    first_part: int = 0,
) -> Iterator[NormalisedPart]:
    """Yield the outcomes of `message` from number `skip` on; at least one part, if an empty one.

    `first_part` is the number of the first part, where another process has done those before. Raises `Unreadable`, and
    nothing else, for a message that cannot be read.
    """
    number = first_part
    readings: list[Reading] = []
    rejections: list[tuple[int, Rejection]] = []
    duplicates = ordinal = 0
    cut = skip + PART_OUTCOMES
    try:
        for outcome in outcomes(message, source, key, received_at):
            if ordinal >= skip:
                if type(outcome) is Reading:
                    readings.append(outcome)
                elif type(outcome) is Rejection:
                    rejections.append((ordinal, outcome))
                else:
                    duplicates += 1
            ordinal += 1
            if ordinal == cut:
                yield _part(readings, rejections, duplicates, ordinal, part_seed(seed, number))
                readings, rejections, duplicates = [], [], 0
                number, cut = number + 1, cut + PART_OUTCOMES
    except BalError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AssertionError):
        # Not chained: whatever it stumbled on may be quoted in it.
        raise Unreadable(
            "the message could not be read", remedy="report this: it should have been refused"
        ) from None
    if number == first_part or ordinal > cut - PART_OUTCOMES:
        yield _part(readings, rejections, duplicates, ordinal, part_seed(seed, number))


def _part(
    readings: list[Reading],
    rejections: list[tuple[int, Rejection]],
    duplicates: int,
    ordinal: int,
    seed: bytes,
) -> NormalisedPart:
    salts = expand_salts(seed, len(readings))
    return NormalisedPart(readings, salts, leaves(readings, salts), rejections, duplicates, ordinal)


def pack(part: NormalisedPart) -> bytes:
    """Return a part as plain data."""
    columns = list(zip(*part.readings, strict=True))
    rejections = [(ordinal, *rejection) for ordinal, rejection in part.rejections]
    salts, hashes = list(part.salts), list(part.leaves)
    return marshal.dumps((columns, salts, hashes, rejections, part.duplicates, part.outcomes))


def unpack(data: bytes) -> NormalisedPart:
    """Return the part that `pack` made `data` of."""
    columns, salts, hashes, rejections, duplicates, count = marshal.loads(data)  # noqa: S302 - of our own worker
    return NormalisedPart(
        list(map(Reading._make, zip(*columns, strict=True))),
        salts,
        hashes,
        [(row[0], Rejection._make(row[1:])) for row in rejections],
        duplicates,
        count,
    )
