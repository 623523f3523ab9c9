"""A home opened for reading, beside whoever writes it: queries, certificates, audits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.embedded.signed import SignedAnchors
from bal.core.errors import LedgerAltered, Malformed, NothingToTrust
from bal.core.names import is_name
from bal.home import Home
from bal.keys import Keys, operator_public_key
from bal.reader import Reader
from bal.store.sqlite import SqliteQuarantine, SqliteStore
from bal.verify.anchors import AnchorFile
from bal.verify.audit import audit, ledger_altered
from bal.verify.heads import Heads
from bal.verify.report import AuditReport
from bal.verify.verifier import Verdict, verify, verify_on_ledger


@asynccontextmanager
async def open_reader(home: Home) -> AsyncIterator[Reader]:
    """Open a home for reading, beside whoever writes it. `NotFound` where there is none."""
    home.existing()
    keys = Keys.open(home.keys, in_use=True)
    store = SqliteStore(home.scd, read_only=True)
    ledger = await EmbeddedLedger.beside(home.ledger, operator_public_key(home.keys))
    try:
        yield Reader(store, ledger, keys.pseudonyms)
    finally:
        await ledger.close()
        await store.close()


@asynccontextmanager
async def open_quarantine(home: Home) -> AsyncIterator[SqliteQuarantine]:
    """Open the quarantine of a home for reading. `NotFound` where there is no home."""
    home.existing()
    keys = Keys.open(home.keys, in_use=True)
    quarantine = SqliteQuarantine(home.quarantine, keys.quarantine, read_only=True)
    try:
        yield quarantine
    finally:
        await quarantine.close()


@asynccontextmanager
async def judge(
    home: Home, anchors: Path | None, heads: list[str]
) -> AsyncIterator[Callable[[bytes], Awaitable[Verdict]]]:
    """Yield what judges a certificate: by a file of trusted anchors, else by the home's ledger.

    `heads` are `log=hash` texts up to which the file's chains must lead. `NothingToTrust` where there is neither.
    """
    if anchors is not None:
        with AnchorFile(anchors, dict(_head(text) for text in heads) or None) as trusted:

            async def by_file(text: bytes) -> Verdict:
                return verify(text, trusted)

            yield by_file
        return
    if not home.ledger.exists():
        message = "there is nothing to trust: no file of anchors, and no ledger in this home"
        raise NothingToTrust(
            message, subject=home.path.name, remedy="give --anchors FILE, or name a home with --home"
        )
    key = operator_public_key(home.keys)
    ledger = await EmbeddedLedger.beside(home.ledger, key)
    try:
        signed = SignedAnchors(ledger, key)

        async def by_ledger(text: bytes) -> Verdict:
            return await verify_on_ledger(text, signed)

        yield by_ledger
    finally:
        await ledger.close()


def _head(text: str) -> tuple[str, str]:
    log, _, digest = text.partition("=")
    if not is_name(log) or len(digest) != 64:
        message = "this is not a head"
        raise Malformed(message, remedy="write it as log=hash, the hash in 64 hex characters")
    return log, digest.lower()


async def audit_home(home: Home, since: Heads | None) -> AuditReport:
    """Audit a home beside whoever writes it, also against the heads an earlier audit saw."""
    try:
        async with open_reader(home) as reader:
            return await audit(reader.store, reader.ledger, since=since)
    except LedgerAltered as error:  # so that it cannot even be opened
        return ledger_altered(error)
