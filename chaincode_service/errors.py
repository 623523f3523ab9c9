"""What goes wrong in the service itself; refusals of the contract are `chaincode.errors.ContractError`."""

from __future__ import annotations


class PeerRefused(Exception):
    """The peer did not do what a transaction asked of it. Its reason may quote keys and values: it is not kept."""

    def __init__(self, action: str) -> None:
        super().__init__(f"the peer refused {action}")


class Unconfigured(Exception):
    """The environment does not say all that the service needs, or says it wrongly."""
