"""Trusted anchors from a file: what `bal anchors export` writes, its chain checked before any of it is used."""

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from bal.core.certificate import CERTIFICATE_BYTES, read_commitment, strict_object
from bal.core.commitment import Commitment
from bal.core.errors import Invalid, NothingToTrust
from bal.verify.heads import Head, Heads
from chaincode.anchor import GENESIS


class TrustedAnchors(Protocol):
    """Anchors somebody trusts, by place."""

    def find(self, log: str, seq: int) -> Commitment | None:
        """Return the anchor at `(log, seq)`, None where nothing is trusted."""
        ...


class _Log:
    """One log's chain while it is read: where each line begins, and the hash the next line must name."""

    __slots__ = ("offsets", "previous", "trusted")

    def __init__(self) -> None:
        self.offsets = array("Q")
        self.previous = GENESIS
        self.trusted = 0
        """How many anchors from the first on are trusted."""


class AnchorFile:
    """The anchors of a JSON Lines file, one `Commitment.to_json()` a line, logs mixed as they come.

    Each log must begin at seq 0 and go on without a gap, a repetition or a fork; every line must be of one ledger and
    channel. With `heads` (anchor hash by log) a log is trusted up to the anchor of that hash and no further, and a log
    without a head not at all; a head that is not in the file is refused. Without `heads` the file itself is trusted.
    The chain proves what the anchor hash covers; transaction, block, time and organisation are as trusted as the file.

    Memory: 8 bytes an anchor; an anchor is read again when asked for, so the file must stay as it is while in use.
    Raises `Invalid` naming the line, `NothingToTrust` for a file without any anchor.
    """

    def __init__(self, path: Path, heads: Mapping[str, str] | None = None) -> None:
        self._logs: dict[str, _Log] = {}
        self._origin: tuple[str, str] | None = None
        self._last: Commitment | None = None
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise NothingToTrust(
                f"the file of anchors cannot be read ({error.strerror})",
                subject=path.name,
                remedy="write one with `bal anchors export`",
            ) from error
        try:
            self._read(self._file, heads)
        except BaseException:
            self._file.close()
            raise

    def _read(self, file: BinaryIO, heads: Mapping[str, str] | None) -> None:
        offset, number = 0, 0
        while line := file.readline(CERTIFICATE_BYTES + 1):
            number += 1
            try:
                self._add(_commitment(line), offset, heads)
            except Invalid as error:
                raise Invalid(
                    error.what, subject=f"anchors, line {number}", remedy="export them anew"
                ) from None
            offset += len(line)
        if not self._logs:
            raise NothingToTrust("the file holds no anchors", subject="anchors")
        for log in heads or ():
            if log not in self._logs or not self._logs[log].trusted:
                raise Invalid(
                    "the trusted head is not among the anchors",
                    subject=log,
                    remedy="export the anchors anew; if it stays so, the ledger was rewritten",
                )

    def _add(self, commitment: Commitment, offset: int, heads: Mapping[str, str] | None) -> None:
        anchor = commitment.anchor
        origin = (commitment.ledger, commitment.channel)
        if self._origin not in (None, origin):
            raise Invalid("it is of another ledger or channel than the lines before")
        self._origin = origin
        chain = self._logs.setdefault(anchor.log, _Log())
        if anchor.seq != len(chain.offsets):
            raise Invalid(f"seq {len(chain.offsets)} of the log was expected, not {anchor.seq}")
        if anchor.previous != chain.previous:
            raise Invalid("its previous is not the hash of the anchor before")
        chain.offsets.append(offset)
        chain.previous = anchor.hash
        if heads is None or heads.get(anchor.log) == chain.previous:
            chain.trusted = len(chain.offsets)

    def find(self, log: str, seq: int) -> Commitment | None:
        """Return the anchor at `(log, seq)`, None where the file holds none or it lies behind the trusted head."""
        chain = self._logs.get(log)
        if chain is None or not 0 <= seq < chain.trusted:
            return None
        last = self._last
        if last is not None and (last.anchor.log, last.anchor.seq) == (log, seq):
            return last
        self._file.seek(chain.offsets[seq])
        found = _commitment(self._file.readline(CERTIFICATE_BYTES + 1))
        if (found.anchor.log, found.anchor.seq) != (log, seq):
            raise Invalid("the file of anchors was changed while it was read", subject="anchors")
        self._last = found
        return found

    @property
    def heads(self) -> Heads:
        """The newest trusted anchor of every trusted log."""
        newest = {
            log: self.find(log, chain.trusted - 1) for log, chain in self._logs.items() if chain.trusted
        }
        return {log: Head(found.anchor.seq, found.anchor.hash) for log, found in newest.items() if found}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _commitment(line: bytes) -> Commitment:
    return read_commitment(strict_object(line, CERTIFICATE_BYTES))
