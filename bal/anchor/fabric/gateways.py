"""The channel through Fabric's gateways: one identity for anchors and queries, one for registrations."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, Self

from fabric_protos.common import ledger_pb2

from bal.anchor.fabric.access import FabricAccess, PeerAccess
from bal.anchor.fabric.block import number_of
from bal.anchor.fabric.channel import Committed, Stale
from bal.core.errors import LedgerOutcomeUnknown, LedgerUnavailable, Misconfigured
from bal.fabric import (
    CommitError,
    Contract,
    Deadlines,
    Endorsers,
    Endpoint,
    EvaluateError,
    FabricError,
    Gateway,
    GatewayError,
    Identity,
    IdentityError,
    MismatchError,
    Outcome,
    SubmitError,
    connect,
    private_key_signer,
)
from chaincode.errors import ContractError

_QUERIES: Final = "qscc"
"""Fabric's own contract that answers for the ledger itself."""
_SUBMIT_SECONDS: Final = 15.0
_EVALUATE_SECONDS: Final = 5.0
_CONFLICTS: Final = frozenset(("MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"))
_AWAY: Final = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"))
_BLOCK_SECONDS: Final = 30.0
"""How long a peer may take to give a block that it has."""


class GatewayChannel:
    """`bal.anchor.fabric.channel.Channel` by `bal.fabric`; connections are made when first used."""

    def __init__(self, access: FabricAccess) -> None:
        self.name = access.channel
        self.chaincode = access.chaincode
        self.organisation = access.msp
        self.members = {peer.address: peer.msp for peer in access.gateways}
        self.peers = list(self.members)
        if not access.gateways:
            message = "no peer of the ledger is named"
            raise Misconfigured(message, subject="fabric.gateways", remedy="name one's own peer there, first")
        known = tuple(dict.fromkeys(self.members.values()))
        endorsers = Endorsers(known, len(known) // 2 + 1) if len(known) > 1 else None
        deadlines = Deadlines(
            evaluate=min(_EVALUATE_SECONDS, access.endorse_seconds),
            endorse=access.endorse_seconds,
            submit=_SUBMIT_SECONDS,
            commit_status=access.commit_seconds,
        )
        endpoints = [_endpoint(peer) for peer in access.gateways]

        def gateway(to: Sequence[Endpoint], certificate: Path, key: Path) -> Gateway:
            try:
                identity = Identity.from_pem(access.msp, _read(certificate))
                signer = private_key_signer(_read(key))
            except IdentityError as error:
                message = f"it cannot be used to sign for the ledger: {error}"
                raise Misconfigured(message, subject=certificate.name) from None
            return connect(
                identity=identity, endpoints=to, signer=signer, deadlines=deadlines, endorsers=endorsers
            )

        plain = (access.certificate, access.key)
        admin = (access.admin_certificate or plain[0], access.admin_key or plain[1])
        self._client, self._admin = gateway(endpoints, *plain), gateway(endpoints, *admin)
        self._single = {each.address: gateway([each], *plain) for each in endpoints}
        self._single_admin = {each.address: gateway([each], *admin) for each in endpoints}

    @classmethod
    async def open(cls, access: FabricAccess) -> Self:
        """Return the channel `access` tells of, its files read. `Misconfigured`."""
        return cls(access)  # in the loop: its connections belong to it; the files are few and small

    async def evaluate(
        self, function: str, args: Sequence[str], peer: str | None = None, *, admin: bool = False
    ) -> bytes:
        """Return what the contract answers, on one peer or on whichever answers."""
        try:
            return await self._evaluate(self.chaincode, function, args, peer, admin=admin)
        except EvaluateError as error:
            refused = refusal(error)
            if refused is not None:
                raise refused from None
            raise _unavailable(error, peer or "") from error
        except FabricError as error:
            raise _unavailable(error, peer or "") from error

    async def submit(
        self, function: str, args: Sequence[str], *, admin: bool = False, organisations: Sequence[str] = ()
    ) -> Committed:
        """Have a transaction endorsed, ordered and committed."""
        contract = self._contract(self._admin if admin else self._client, self.chaincode)
        try:
            submitted = await contract.submit_async(function, *args, organisations=organisations)
        except MismatchError as error:
            message = "peers endorsed different results: one of them is behind"
            raise Stale(message) from error
        except SubmitError as error:
            if error.outcome is Outcome.UNKNOWN:
                raise _unknown(error) from error
            raise _unavailable(error) from error
        except GatewayError as error:
            refused = refusal(error)
            if refused is not None:
                raise refused from None
            raise _unavailable(error) from error
        except (FabricError, ValueError) as error:  # ValueError: a gateway gave what is no transaction
            raise _unavailable(error) from error
        try:
            status = await submitted.status()
            status.check()
        except CommitError as error:
            if error.name in _CONFLICTS:
                message = "another transaction was there first"
                raise Stale(message) from error
            raise _unavailable(error) from error
        except (FabricError, ValueError) as error:  # from here on an orderer has it
            raise _unknown(error) from error
        return Committed(submitted.result, submitted.transaction_id, status.block_number, status.gateway)

    async def block_of(self, tx_id: str, peer: str) -> int | None:
        """Return the number of the block that holds a transaction, None where that peer has none that does."""
        try:
            raw = await self._evaluate(_QUERIES, "GetBlockByTxID", [self.name, tx_id], peer)
        except EvaluateError as error:
            if error.code in _AWAY:
                raise _unavailable(error, peer) from error
            return None
        except FabricError as error:
            raise _unavailable(error, peer) from error
        return number_of(raw, tx_id)

    async def height(self) -> int:
        """Return how many blocks the first peer has."""
        raw = await self._query("GetChainInfo", self.name)
        return int(ledger_pb2.BlockchainInfo.FromString(raw).height)

    async def blocks(self, first: int, end: int) -> AsyncIterator[bytes]:
        """Yield blocks as the first peer has them."""
        if first >= end:
            return
        peer = self.peers[0]
        events = self._single[peer].network(self.name).block_events(first)
        try:
            async with events:
                for _ in range(first, end):
                    # It would wait for ever for a peer that is gone: streams of events outlast their peers.
                    block = await asyncio.wait_for(anext(events), _BLOCK_SECONDS)
                    yield block.SerializeToString()
        except (FabricError, StopAsyncIteration, TimeoutError) as error:
            raise _unavailable(error, peer) from error

    async def close(self) -> None:
        """Let all connections go."""
        for gateway in (self._client, self._admin, *self._single.values(), *self._single_admin.values()):
            await gateway.close()

    async def _query(self, function: str, *args: str) -> bytes:
        try:
            return await self._evaluate(_QUERIES, function, args, self.peers[0])
        except FabricError as error:
            raise _unavailable(error, self.peers[0]) from error

    async def _evaluate(
        self, chaincode: str, function: str, args: Sequence[str], peer: str | None, *, admin: bool = False
    ) -> bytes:
        if peer is None and len(self.peers) > 1:
            several = self._admin if admin else self._client
            return await self._contract(several, chaincode).evaluate(function, *args)
        # A gateway would pass the question on to another organisation's peer: only its own may answer here.
        address = peer or self.peers[0]
        single = (self._single_admin if admin else self._single)[address]
        return await self._contract(single, chaincode).evaluate(
            function, *args, organisations=[self.members[address]]
        )

    def _contract(self, gateway: Gateway, chaincode: str) -> Contract:
        return gateway.network(self.name).contract(chaincode)


def refusal(error: GatewayError) -> ContractError | None:
    """Return what the contract itself said: its `{"code", "message"}` within what the peers answered, None for others."""
    for said in (*(detail.message for detail in error.details), error.message):
        begin = said.find("{")
        if begin < 0:
            continue
        try:
            value, _ = json.JSONDecoder().raw_decode(said, begin)
            return ContractError.from_json(value)
        except (ValueError, ContractError):
            continue
    return None


def _endpoint(peer: PeerAccess) -> Endpoint:
    return Endpoint(peer.address, msp_id=peer.msp, tls_roots=_read(peer.ca), server_name=peer.server_name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"this file cannot be read ({error.strerror})"
        raise Misconfigured(message, subject=path.name, remedy="see [fabric] in bal.toml") from error


def _unavailable(error: Exception, peer: str = "") -> LedgerUnavailable:
    return LedgerUnavailable(
        f"the ledger's peers did not do it: {error}",
        subject=peer or "certification",
        remedy="see that peers and orderers are up, and that one's certificate is valid",
    )


def _unknown(error: Exception) -> LedgerOutcomeUnknown:
    return LedgerOutcomeUnknown(
        f"whether the transaction was committed is not known: {error}",
        subject="certification",
        remedy="it is settled by reading the anchors",
    )
