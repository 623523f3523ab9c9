"""A Fabric network in memory: three peers that run the contract, one order, real blocks with real signatures.

Peers may fall silent, stay behind or lie; a submitter may lose its outcome.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2, msp_config_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from bal.anchor.embedded.block import Transaction
from bal.anchor.embedded.execution import apply, conflicts, execute
from bal.anchor.embedded.identity import Identity
from bal.anchor.embedded.state import WorldState
from bal.anchor.fabric.block import header_bytes
from bal.anchor.fabric.channel import Committed, Stale
from bal.core.errors import LedgerOutcomeUnknown, LedgerUnavailable
from chaincode.errors import ContractError

ORGANISATIONS = ("DsoMSP", "MarketMSP", "RegulatorMSP")
CHAINCODE = "certification"
_TIME = "2026-01-01T00:00:{:02d}.000000Z"


class Authority:
    """An organisation's CA and its peer's certificate."""

    def __init__(self, msp: str) -> None:
        self.msp = msp
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _certificate(f"ca.{msp}", self.key, None, None)
        self.peer_key = ec.generate_private_key(ec.SECP256R1())
        self.peer = _certificate(f"peer.{msp}", self.peer_key, self.certificate, self.key)

    @property
    def identity(self) -> bytes:
        pem = self.peer.public_bytes(Encoding.PEM)
        raw: bytes = identities_pb2.SerializedIdentity(mspid=self.msp, id_bytes=pem).SerializeToString()
        return raw

    def endorse(self, response: bytes) -> Any:
        signature = self.peer_key.sign(response + self.identity, ec.ECDSA(SHA256()))
        return proposal_response_pb2.Endorsement(endorser=self.identity, signature=signature)


@dataclass
class Peer:
    """One peer: its copy of the blocks, and the state as of `applied` of them."""

    address: str
    msp: str
    state: WorldState = field(default_factory=WorldState)
    blocks: list[bytes] = field(default_factory=list)
    applied: int = 0
    silent: bool = False
    behind: bool = False
    """Takes no further blocks while set."""
    lies: dict[str, bytes] = field(default_factory=dict)
    """Answers of single functions, in the stead of the contract's; endorsed too, so that they differ from the others'."""
    refuses: dict[str, str] = field(default_factory=dict)
    """Codes with which it refuses single functions, whatever the contract says; an endorsement even where it lies to a query."""
    asked: int = 0
    """Questions it was asked."""
    blocks_of: dict[str, int] = field(default_factory=dict)
    """Blocks of single transactions, in the stead of where they are."""

    def endorse(
        self, function: str, args: Sequence[str], who: Identity, tx_id: str, time: str
    ) -> tuple[Transaction, bytes]:
        """Return what it says that a call writes and answers."""
        if function in self.refuses:
            raise ContractError(self.refuses[function], "made up")
        transaction, answer = execute(self.state, function, args, who, tx_id, time)
        return transaction, self.lies.get(function, answer)


class Network:
    """The order of transactions, and the peers that follow it."""

    def __init__(self) -> None:
        self.authorities = {msp: Authority(msp) for msp in ORGANISATIONS}
        self.peers = [Peer(f"peer.{msp.lower()}:7051", msp) for msp in ORGANISATIONS]
        self.order: list[tuple[bytes, list[Transaction]]] = []
        self.endorsers_needed = 2
        self.lose_outcomes = 0
        self.orderers_away = False
        self._truth = WorldState()
        self._where: dict[str, int] = {}
        self._previous = b""
        self._append([self._genesis()], [], common_pb2.CONFIG)

    def channel(self, msp: str, roles: frozenset[str] = frozenset({"admin", "client"})) -> FakeChannel:
        """Return one organisation's access, its own peer first."""
        own = [peer for peer in self.peers if peer.msp == msp]
        return FakeChannel(
            self, Identity(msp, roles), [*own, *(each for each in self.peers if each.msp != msp)]
        )

    def catch_up(self) -> None:
        """Give every peer that is not kept behind all blocks."""
        for peer in self.peers:
            while not peer.behind and peer.applied < len(self.order):
                raw, transactions = self.order[peer.applied]
                for place, transaction in enumerate(transactions):
                    apply(transaction, peer.state, peer.applied, place)
                peer.blocks.append(raw)
                peer.applied += 1

    def commit(self, transaction: Transaction, endorsers: Sequence[str]) -> int | None:
        """Order a transaction into a block of its own; return its number, None when it was not valid."""
        valid = not conflicts(transaction, self._truth)
        number = len(self.order)
        if valid:
            apply(transaction, self._truth, number, 0)
            self._where[transaction.tx_id] = number
        envelope = self.envelope(transaction, endorsers)
        flag = transaction_pb2.VALID if valid else transaction_pb2.MVCC_READ_CONFLICT
        self._append([envelope], [transaction] if valid else [], common_pb2.ENDORSER_TRANSACTION, flag)
        return number if valid else None

    def where(self, tx_id: str) -> int | None:
        return self._where.get(tx_id)

    def envelope(self, transaction: Transaction, endorsers: Sequence[str]) -> bytes:
        """Return a transaction as `common.Envelope`, endorsed by the peers of `endorsers`."""
        writes = [
            kv_rwset_pb2.KVWrite(key=each.key, value=each.value.encode()) for each in transaction.writes
        ]
        namespace = rwset_pb2.NsReadWriteSet(
            namespace=CHAINCODE, rwset=kv_rwset_pb2.KVRWSet(writes=writes).SerializeToString()
        )
        results = rwset_pb2.TxReadWriteSet(ns_rwset=[namespace]).SerializeToString()
        action = proposal_pb2.ChaincodeAction(results=results).SerializeToString()
        response = proposal_response_pb2.ProposalResponsePayload(extension=action).SerializeToString()
        endorsed = transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response,
            endorsements=[self.authorities[msp].endorse(response) for msp in endorsers],
        )
        payload = transaction_pb2.ChaincodeActionPayload(action=endorsed).SerializeToString()
        data = transaction_pb2.Transaction(actions=[transaction_pb2.TransactionAction(payload=payload)])
        header = common_pb2.ChannelHeader(type=common_pb2.ENDORSER_TRANSACTION, tx_id=transaction.tx_id)
        return _envelope(
            header, data.SerializeToString(), self.authorities[transaction.organisation].identity
        )

    def _genesis(self) -> bytes:
        config = configtx_pb2.Config()
        for msp, authority in self.authorities.items():
            members = msp_config_pb2.FabricMSPConfig(
                name=msp, root_certs=[authority.certificate.public_bytes(Encoding.PEM)]
            )
            value = msp_config_pb2.MSPConfig(config=members.SerializeToString()).SerializeToString()
            group = config.channel_group.groups["Application"].groups[msp]
            group.values["MSP"].CopyFrom(configtx_pb2.ConfigValue(value=value))
        data = configtx_pb2.ConfigEnvelope(config=config).SerializeToString()
        return _envelope(common_pb2.ChannelHeader(type=common_pb2.CONFIG), data, b"")

    def _append(
        self, envelopes: list[bytes], transactions: list[Transaction], kind: int, flag: int = 0
    ) -> None:
        del kind
        raw = make_block(len(self.order), self._previous, envelopes, bytes([flag] * len(envelopes)))
        self._previous = block_hash(raw)
        self.order.append((raw, transactions))
        self.catch_up()


class FakeChannel:
    """`bal.anchor.fabric.channel.Channel` over the network in memory."""

    name = "certification"
    chaincode = CHAINCODE

    def __init__(self, network: Network, identity: Identity, peers: list[Peer]) -> None:
        self.network = network
        self.organisation = identity.organisation
        self._identity = identity
        self._peers = peers
        self.submissions = 0

    @property
    def peers(self) -> list[str]:
        return [*self.members]

    @property
    def members(self) -> dict[str, str]:
        return {peer.address: peer.msp for peer in self._peers}

    async def evaluate(
        self, function: str, args: Sequence[str], peer: str | None = None, *, admin: bool = False
    ) -> bytes:
        await asyncio.sleep(0)
        for each in self._peers:
            each.asked += peer == each.address
            if not each.silent and peer in {None, each.address}:
                if function in each.lies:
                    return each.lies[function]
                return each.endorse(function, args, self._who(admin=admin), "query", _TIME.format(0))[1]
        raise LedgerUnavailable("no peer answers", subject=peer or "")

    async def submit(
        self, function: str, args: Sequence[str], *, admin: bool = False, organisations: Sequence[str] = ()
    ) -> Committed:
        self.submissions += 1
        who = self._who(admin=admin)
        up = [peer for peer in self._peers if not peer.silent]
        awake = [peer for peer in up if not organisations or peer.msp in organisations]
        if len(awake) < self.network.endorsers_needed:
            raise LedgerUnavailable("no two peers endorse")
        tx_id = sha256(os.urandom(24)).hexdigest()
        time = _TIME.format(min(59, len(self.network.order)))
        chosen = awake[: self.network.endorsers_needed]
        done = [peer.endorse(function, args, who, tx_id, time) for peer in chosen]
        if any(each != done[0] for each in done):
            raise Stale("ProposalResponsePayloads do not match")
        await asyncio.sleep(0)
        if self.network.orderers_away:
            raise LedgerUnavailable("no orderer takes it")
        number = self.network.commit(done[0][0], [peer.msp for peer in chosen])
        if self.network.lose_outcomes:
            self.network.lose_outcomes -= 1
            raise LedgerOutcomeUnknown("the answer was lost")
        if number is None:
            raise Stale("MVCC_READ_CONFLICT")
        told_by = next(peer.address for peer in up if len(peer.blocks) > number)
        return Committed(done[0][1], tx_id, number, told_by)

    def _who(self, *, admin: bool) -> Identity:
        roles = self._identity.roles if admin else self._identity.roles - {"admin"}
        return Identity(self.organisation, roles)

    async def block_of(self, tx_id: str, peer: str) -> int | None:
        (asked,) = (each for each in self._peers if each.address == peer)
        if asked.silent:
            raise LedgerUnavailable("no answer", subject=peer)
        number = asked.blocks_of.get(tx_id, self.network.where(tx_id))
        return number if number is not None and number < len(asked.blocks) else None

    async def height(self) -> int:
        return len(self._peers[0].blocks)

    async def blocks(self, first: int, end: int) -> AsyncIterator[bytes]:
        for raw in self._peers[0].blocks[first:end]:
            yield raw

    async def close(self) -> None:
        """Nothing is open."""


def make_block(number: int, previous: bytes, envelopes: Sequence[bytes], flags: bytes) -> bytes:
    """Return `common.Block`."""
    block = common_pb2.Block(
        header=common_pb2.BlockHeader(
            number=number, previous_hash=previous, data_hash=sha256(b"".join(envelopes)).digest()
        ),
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(metadata=[b"", b"", flags, b"", b""]),
    )
    raw: bytes = block.SerializeToString()
    return raw


def block_hash(raw: bytes) -> bytes:
    """Return the hash the next block names."""
    header = common_pb2.Block.FromString(raw).header
    return sha256(header_bytes(header.number, header.previous_hash, header.data_hash)).digest()


def _envelope(channel: Any, data: bytes, creator: bytes) -> bytes:
    header = common_pb2.Header(
        channel_header=channel.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator).SerializeToString(),
    )
    payload = common_pb2.Payload(header=header, data=data).SerializeToString()
    raw: bytes = common_pb2.Envelope(payload=payload).SerializeToString()
    return raw


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(issuer_key or key, SHA256())
    )
