"""Fabric as the settings name it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bal.anchor.fabric.access import FabricAccess, PeerAccess
from bal.config import FabricSettings
from bal.core.errors import Misconfigured

if TYPE_CHECKING:
    from bal.anchor.fabric.ledger import FabricLedger


@asynccontextmanager
async def open_fabric(
    settings: FabricSettings, peers: tuple[str, ...] = (), *, own: bool = False
) -> AsyncIterator["FabricLedger"]:
    """Open the ledger that `settings` describe, through all its gateways or only those at `peers`. `Misconfigured`."""
    try:
        from bal.anchor.fabric.ledger import FabricLedger
    except ImportError as error:
        message = f"the ledger is Fabric, and {error.name} is not installed"
        raise Misconfigured(message, subject="ledger", remedy="pip install 'bal[fabric]'") from error
    ledger = await FabricLedger.connect(fabric_access(settings, peers), own=own)
    try:
        yield ledger
    finally:
        await ledger.close()


def fabric_access(settings: FabricSettings, peers: tuple[str, ...] = ()) -> FabricAccess:
    """Return the access `settings` describe, through all its gateways or only those at `peers` (host:port).

    `Misconfigured` where something is missing.
    """
    known = {peer.address: peer for peer in settings.gateways}
    for address in peers:
        if address not in known:
            message = "this peer is not among the gateways of the settings"
            raise Misconfigured(message, subject=address, remedy="add it to fabric.gateways, with msp and ca")
    chosen = [known[address] for address in peers] if peers else list(settings.gateways)
    for name, value in (
        ("gateways", chosen),
        ("msp", settings.msp),
        ("certificate", settings.certificate),
        ("key", settings.key),
    ):
        if not value:
            message = "this setting is missing, and the ledger is Fabric"
            raise Misconfigured(message, subject=f"fabric.{name}", remedy="set it in bal.toml")
    if chosen[0].msp != settings.msp:
        message = f"the peer named first belongs to {chosen[0].msp} and the identity to {settings.msp}"
        raise Misconfigured(
            message,
            subject=chosen[0].address,
            remedy="name a peer of one's own organisation first: it is believed",
        )
    assert settings.certificate is not None
    assert settings.key is not None
    return FabricAccess(
        gateways=tuple(PeerAccess(each.address, each.msp, each.ca, each.server_name) for each in chosen),
        channel=settings.channel,
        chaincode=settings.chaincode,
        msp=settings.msp,
        certificate=settings.certificate,
        key=settings.key,
        admin_certificate=settings.admin_certificate,
        admin_key=settings.admin_key,
        endorse_seconds=settings.endorse_seconds,
        commit_seconds=settings.commit_seconds,
    )
