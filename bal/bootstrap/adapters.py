"""Which store and which ledger a home has, by its settings; everybody else knows ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bal.config import Settings
from bal.core.errors import NotFound
from bal.home import Home
from bal.keys import Keys, operator_public_key
from bal.ports import Clock, Leases, Ledger, Random, Store
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
    del settings
    from bal.store.sqlite import SqliteStore

    store = SqliteStore(home.scd, read_only=read_only)
    try:
        yield OpenedStore(store, None)
    finally:
        await store.close()


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
