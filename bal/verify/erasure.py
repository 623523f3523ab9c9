"""Erasure entries: whether a reading may be erased, and the note that says so. Sealing it is the pipeline's."""

from collections.abc import Sequence

from bal.core.certificate import ERASURE_TEXT_CHARACTERS
from bal.core.commitment import Commitment
from bal.core.entry import Erasure, StoredEntry, leaf
from bal.core.errors import Invalid, Refused
from bal.core.reading import Reading
from chaincode.merkle import verify_inclusion


def erasure_of(
    target: StoredEntry,
    path: Sequence[bytes],
    commitment: Commitment | None,
    *,
    who: str,
    why: str,
    received_at: int,
) -> Erasure:
    """Return the note that erases `target`, given its inclusion path and its batch's anchor on the ledger.

    Asking the store for `target` has told that it exists and is not erased. Raises `Refused` for what is no reading, is
    not anchored, or lacks a printable `who` or `why`; `Invalid` for a row that is not what was anchored: erasing it
    would hide that it was changed.
    """
    subject = str(target.address)
    for text, what in ((who, "who"), (why, "why")):
        if not text.strip() or len(text) > ERASURE_TEXT_CHARACTERS or not text.isprintable():
            message = f"say {what}, in 1 to {ERASURE_TEXT_CHARACTERS} printable characters"
            raise Refused(message, subject=subject)
    if not isinstance(target.entry, Reading):
        raise Refused("only readings can be erased", subject=subject)
    if commitment is None:
        raise Refused("this entry is not anchored yet", subject=subject, remedy="try again in a moment")
    digest = leaf(target.entry, target.salt)
    if not proves(target, digest, path, commitment):
        raise Invalid(
            "the stored row is not what was anchored", subject=subject, remedy="run `bal audit` first"
        )
    return Erasure(target.entry.source, subject, digest.hex(), who, why, received_at)


def proves(row: StoredEntry, digest: bytes, path: Sequence[bytes], commitment: Commitment) -> bool:
    """Tell whether leaf `digest` stands at the row's address under `commitment`."""
    anchor, (log, seq, index) = commitment.anchor, row.address
    return (anchor.log, anchor.seq) == (log, seq) and verify_inclusion(
        digest, index, anchor.size, path, bytes.fromhex(anchor.root)
    )
