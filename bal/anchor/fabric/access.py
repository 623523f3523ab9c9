"""Who one is on a Fabric network, and which peers one asks."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PeerAccess:
    """A peer whose Fabric Gateway is used."""

    address: str
    """`host:port`"""
    msp: str
    """Organisation of the peer (MSP id)."""
    ca: Path
    """TLS CA of that organisation, PEM."""
    server_name: str = ""
    """Name the peer's certificate must carry, if not the host."""


@dataclass(frozen=True, slots=True)
class FabricAccess:
    """One's own organisation's peer first, then those of the others; the identities to sign with."""

    gateways: tuple[PeerAccess, ...]
    channel: str
    chaincode: str
    msp: str
    """Organisation of the identities (MSP id)."""
    certificate: Path
    """Signs anchors and queries, PEM."""
    key: Path
    admin_certificate: Path | None = None
    """Registers logs and sources (role admin), PEM; without it the other one is tried."""
    admin_key: Path | None = None
    endorse_seconds: float = 15.0
    commit_seconds: float = 30.0
