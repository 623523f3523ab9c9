"""Which store and which ledger a home has, by its settings; everybody else knows ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from bal.config import Settings
from bal.core.errors import NotFound
from bal.home import Home
from bal.keys import Keys, operator_public_key
from bal.ports import Clock, Leases, Ledger, Random, Store
from bal.resources import resource
from bal.verify.verifier import LedgerAnchors


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An open Shared Customer Database."""

    store: Store
    leases: Leases | None
    """None where the home's lock says who writes."""


@dataclass(frozen=True, slots=True)
class OpenedLedger:
    """An open ledger."""

    ledger: Ledger
    anchors: LedgerAnchors
    """What certificates are judged by: where an index could lie, what was signed."""


@asynccontextmanager
async def open_store(
    home: Home, settings: Settings, *, read_only: bool = False
) -> AsyncIterator[OpenedStore]:
    """Open the SCD of a home. `StoreFailed`, `Misconfigured`."""
    if settings.store == "cassandra":
        async with _cassandra(settings, read_only=read_only) as opened:
            yield opened
        return
    from bal.store.sqlite import SqliteStore

    store = SqliteStore(home.scd, read_only=read_only)
    try:
        yield OpenedStore(store, None)
    finally:
        await store.close()


@asynccontextmanager
async def _cassandra(settings: Settings, *, read_only: bool) -> AsyncIterator[OpenedStore]:
    from bal.bootstrap.scd import cassandra_access
    from bal.store.cassandra.leases import CassandraLeases
    from bal.store.cassandra.migrations import check_current
    from bal.store.cassandra.session import Session
    from bal.store.cassandra.store import CassandraStore

    access = cassandra_access(settings)
    async with AsyncExitStack() as stack:
        # A lease is asked for on a connection of its own: it must not wait in a line of rows, nor long for an answer.
        asking = replace(access, request_seconds=min(access.request_seconds, settings.lane.lease_seconds / 5))
        session = await Session.connect(asking)
        stack.push_async_callback(session.close)
        await check_current(session, resource("scd") / "migrations")
        store = await CassandraStore.connect(access, read_only=read_only)
        stack.push_async_callback(store.close)
        yield OpenedStore(store, None if read_only else CassandraLeases(session))


@asynccontextmanager
async def open_ledger(
    home: Home, settings: Settings, keys: Keys, clock: Clock, random: Random
) -> AsyncIterator[OpenedLedger]:
    """Open the ledger as the one BAL of a home that writes to it. `LedgerAltered`, `LedgerUnavailable`, `HomeLocked`."""
    if settings.ledger == "fabric":
        async with _fabric(settings) as opened:
            yield opened
        return
    from bal.anchor.embedded.ledger import EmbeddedLedger
    from bal.anchor.embedded.signed import SignedAnchors

    ledger = await EmbeddedLedger.open(home.ledger, keys.operator, clock, random)
    try:
        yield OpenedLedger(ledger, SignedAnchors(ledger, keys.operator.public_key()))
    finally:
        await ledger.close()


@asynccontextmanager
async def read_ledger(
    home: Home, settings: Settings, peers: tuple[str, ...] = (), *, own: bool = False
) -> AsyncIterator[OpenedLedger]:
    """Open the ledger for reading, beside whoever writes to it; on Fabric by all its gateways or only those of `peers`.

    With `own` nothing is believed but what the first of them says. `LedgerAltered`, `LedgerUnavailable`.
    """
    if settings.ledger == "fabric":
        async with _fabric(settings, peers, own=own) as opened:
            yield opened
        return
    from bal.anchor.embedded.ledger import EmbeddedLedger
    from bal.anchor.embedded.signed import SignedAnchors

    key = operator_public_key(home.keys)
    ledger = await EmbeddedLedger.beside(home.ledger, key)
    try:
        yield OpenedLedger(ledger, SignedAnchors(ledger, key))
    finally:
        await ledger.close()


@asynccontextmanager
async def _fabric(
    settings: Settings, peers: tuple[str, ...] = (), *, own: bool = False
) -> AsyncIterator[OpenedLedger]:
    from bal.bootstrap.fabric import open_fabric

    async with open_fabric(settings.fabric, peers, own=own) as ledger:
        yield OpenedLedger(ledger, ledger)


def existing(home: Home, settings: Settings) -> Home:
    """Return the home if it was ever used. `NotFound` otherwise."""
    if settings.store == "sqlite" and not home.scd.exists():
        message = "there is no BAL in this folder"
        raise NotFound(message, subject=home.path.name, remedy="name its home with --home or BAL_HOME")
    return home
