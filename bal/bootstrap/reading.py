"""A home opened for reading, beside whoever writes it: queries, certificates, audits."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bal.bootstrap.adapters import existing, open_store, read_ledger
from bal.bootstrap.fabric import open_fabric
from bal.config import Settings, load
from bal.core.errors import LedgerAltered, LedgerUnavailable, Malformed, NothingToTrust
from bal.core.names import is_name
from bal.home import Home
from bal.keys import Keys
from bal.lane.succession import is_of
from bal.ports import Store
from bal.reader import Reader
from bal.store.sqlite import SqliteQuarantine
from bal.system import SystemClock
from bal.verify.anchors import AnchorFile
from bal.verify.audit import audit, ledger_altered
from bal.verify.heads import Heads
from bal.verify.peers import compare_peers
from bal.verify.report import AuditReport
from bal.verify.verifier import Verdict, verify, verify_on_ledger

if TYPE_CHECKING:
    from bal.anchor.fabric.ledger import FabricLedger


@asynccontextmanager
async def open_reader(home: Home) -> AsyncIterator[Reader]:
    """Open a home for reading, beside whoever writes it. `NotFound` where there is none."""
    settings = load(home.path)
    existing(home, settings)
    keys = Keys.open(home.keys, in_use=True)
    async with (
        open_store(home, settings, read_only=True) as database,
        read_ledger(home, settings) as opened,
    ):
        yield Reader(database.store, opened.ledger, keys.pseudonyms)


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
    settings = load(home.path)
    if settings.ledger == "embedded" and not home.ledger.exists():
        message = "there is nothing to trust: no file of anchors, and no ledger in this home"
        raise NothingToTrust(
            message, subject=home.path.name, remedy="give --anchors FILE, or name a home with --home"
        )
    async with read_ledger(home, settings, own=True) as opened:

        async def by_ledger(text: bytes) -> Verdict:
            return await verify_on_ledger(text, opened.anchors)

        yield by_ledger


def _head(text: str) -> tuple[str, str]:
    log, _, digest = text.partition("=")
    if not is_name(log) or len(digest) != 64:
        message = "this is not a head"
        raise Malformed(message, remedy="write it as log=hash, the hash in 64 hex characters")
    return log, digest.lower()


async def audit_home(
    home: Home, since: Heads | None, peers: Sequence[str] = (), owner: str = ""
) -> AuditReport:
    """Audit a home beside whoever writes it, also against the heads an earlier audit saw; no key of it is needed.

    On Fabric anchors and blocks are those of one's own peer, the first of `peers` (host:port; none: of the settings),
    and what all of them say is compared. With `owner` (MSP id) every log of that organisation must be in the database.
    """
    settings = load(home.path)
    existing(home, settings)
    for option, given in (("--peer", peers), ("--owner", owner)):
        if given and settings.ledger != "fabric":
            message = "there are peers and organisations where the ledger is Fabric, and this home's is not"
            raise Malformed(
                message, subject=option, remedy="leave it out, or set ledger and fabric in bal.toml"
            )
    try:
        async with open_store(home, settings, read_only=True) as database:
            if settings.ledger == "fabric":
                return await _audit_on_fabric(database.store, settings, since, tuple(peers), owner)
            async with read_ledger(home, settings) as opened:
                return await audit(database.store, opened.ledger, since=since)
    except LedgerAltered as error:  # so that it cannot even be opened
        return ledger_altered(error)


async def _audit_on_fabric(
    store: Store, settings: Settings, since: Heads | None, peers: tuple[str, ...], owner: str
) -> AuditReport:
    async with open_fabric(settings.fabric, peers, own=True) as ledger:
        sources = {source.name for source in await store.sources()}
        try:
            logs = [*await ledger.logs_with(sources), *await _logs_to_find(ledger, settings, owner)]
        except LedgerUnavailable:
            await ledger.verify()  # tells where, if what it answers was altered
            raise
        report = await audit(store, ledger, since=since, logs=logs)
        await compare_peers(ledger, report, SystemClock(), named={*logs, *await store.logs()})
    return report


async def _logs_to_find(ledger: "FabricLedger", settings: Settings, owner: str) -> list[str]:
    """Return the logs a database must know whatever sources it names: of the home's lanes, of an organisation named.

    A lane of the default name is this home's only where the log is its own organisation's.
    """
    told = "lanes" in settings.model_fields_set
    return [
        log
        for log, msp in await ledger.all_logs()
        if msp == owner
        or ((told or msp == settings.fabric.msp) and any(is_of(lane, log) for lane in settings.lanes))
    ]
