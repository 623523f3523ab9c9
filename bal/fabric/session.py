"""What every object of one gateway shares."""

from dataclasses import dataclass

from bal.fabric.deadlines import Deadlines
from bal.fabric.failover import Failover
from bal.fabric.signing import SigningIdentity


@dataclass(frozen=True, slots=True)
class Session:
    """The gateways, who signs, how long phases may take, and the hash of the TLS client certificate (if there is one)."""

    failover: Failover
    signing: SigningIdentity
    deadlines: Deadlines
    tls_hash: bytes = b""
