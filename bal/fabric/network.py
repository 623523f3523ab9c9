"""A channel."""

from bal.fabric.contract import Contract
from bal.fabric.deadlines import Deadlines
from bal.fabric.failover import Failover
from bal.fabric.signing import SigningIdentity


class Network:
    """A channel of the peers behind a gateway."""

    def __init__(self, failover: Failover, signing: SigningIdentity, deadlines: Deadlines, name: str) -> None:
        self._failover = failover
        self._signing = signing
        self._deadlines = deadlines
        self.name = name

    def contract(self, chaincode: str, contract_name: str | None = None) -> Contract:
        """Return a chaincode on this channel, or one contract in it."""
        return Contract(self._failover, self._signing, self._deadlines, self.name, chaincode, contract_name)
