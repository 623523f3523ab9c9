"""Blocks of a Fabric channel: what of them hashes, what the contract wrote, who endorsed it.

Forms: `common.Block`, `common.Envelope`, `peer.Transaction` and `rwset.TxReadWriteSet` of hyperledger/fabric-protos;
the hash of a block is SHA-256 of the ASN.1 (DER) sequence of number, previous hash and data hash (Fabric,
`protoutil.BlockHeaderBytes`), the data hash SHA-256 of all envelopes one after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from bal.core.errors import LedgerAltered

VALID = 0
"""`TxValidationCode.VALID`"""


@dataclass(frozen=True, slots=True)
class Endorsement:
    """One organisation's signature under what a transaction reads and writes."""

    msp: str
    certificate: bytes
    """PEM"""
    signature: bytes
    """ECDSA over SHA-256, DER."""
    signed: bytes
    """Proposal response payload and endorser one after the other: what is signed."""


@dataclass(frozen=True, slots=True)
class Writes:
    """A valid transaction of the contract."""

    tx_id: str
    creator: str
    """MSP id of the submitter."""
    writes: tuple[tuple[str, bytes], ...]
    endorsements: tuple[Endorsement, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose own hashes fit."""

    number: int
    hash: bytes
    previous: bytes
    transactions: tuple[Writes, ...]
    """The valid ones of the contract, in order."""
    config: configtx_pb2.Config | None = None
    """What a configuration block says of the channel."""


def altered(number: int, why: str) -> LedgerAltered:
    """Return the error that names a block."""
    return LedgerAltered(
        f"block {number} does not fit: {why}",
        block=number,
        subject="ledger",
        remedy="compare with the peers of the other organisations; restore this one's ledger from theirs",
    )


def read_block(raw: bytes, number: int, chaincode: str) -> Block:
    """Return the block `raw` is, if it is number `number` and its data hash and its form are right. `LedgerAltered`."""
    try:
        return _read(raw, number, chaincode)
    except (DecodeError, ValueError, IndexError) as error:
        raise altered(number, f"it can't be read ({type(error).__name__})") from None


def number_of(raw: bytes, tx_id: str) -> int | None:
    """Return the number of the block `raw` is, None where it is none that holds a transaction of this id."""
    try:
        block = common_pb2.Block.FromString(raw)
        if any(_channel_header(each)[1].tx_id == tx_id for each in block.data.data):
            return int(block.header.number)
    except DecodeError:
        pass
    return None


def _read(raw: bytes, number: int, chaincode: str) -> Block:
    block = common_pb2.Block.FromString(raw)
    header = block.header
    if header.number != number:
        raise altered(number, f"the peer gave number {header.number} in its stead")
    if sha256(b"".join(block.data.data)).digest() != header.data_hash:
        raise altered(number, "its data is not what its header says")
    flags = block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER]
    if len(flags) != len(block.data.data):
        raise altered(number, "it has not one validity flag for each transaction")
    transactions: list[Writes] = []
    config = None
    for flag, envelope in zip(flags, block.data.data, strict=True):
        payload, channel = _channel_header(envelope)
        if channel.type == common_pb2.CONFIG and flag == VALID:
            config = configtx_pb2.ConfigEnvelope.FromString(payload.data).config
        elif channel.type == common_pb2.ENDORSER_TRANSACTION and flag == VALID:
            transactions += _writes(payload, channel.tx_id, chaincode)
    return Block(
        number,
        sha256(header_bytes(number, header.previous_hash, header.data_hash)).digest(),
        header.previous_hash,
        tuple(transactions),
        config,
    )


def _channel_header(envelope: bytes) -> tuple[common_pb2.Payload, common_pb2.ChannelHeader]:
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload)
    return payload, common_pb2.ChannelHeader.FromString(payload.header.channel_header)


def _writes(payload: common_pb2.Payload, tx_id: str, chaincode: str) -> Iterator[Writes]:
    creator = _identity(common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator)
    for action in transaction_pb2.Transaction.FromString(payload.data).actions:
        endorsed = transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            endorsed.proposal_response_payload
        )
        result = proposal_pb2.ChaincodeAction.FromString(response.extension)
        written = tuple(_of_contract(result.results, chaincode))
        if written:
            yield Writes(
                tx_id,
                creator.mspid,
                written,
                tuple(
                    Endorsement(
                        _identity(each.endorser).mspid,
                        _identity(each.endorser).id_bytes,
                        each.signature,
                        endorsed.proposal_response_payload + each.endorser,
                    )
                    for each in endorsed.endorsements
                ),
            )


def _of_contract(results: bytes, chaincode: str) -> Iterator[tuple[str, bytes]]:
    for namespace in rwset_pb2.TxReadWriteSet.FromString(results).ns_rwset:
        if namespace.namespace == chaincode:
            for write in kv_rwset_pb2.KVRWSet.FromString(namespace.rwset).writes:
                yield write.key, b"" if write.is_delete else write.value


def _identity(raw: bytes) -> identities_pb2.SerializedIdentity:
    return identities_pb2.SerializedIdentity.FromString(raw)


def header_bytes(number: int, previous: bytes, data: bytes) -> bytes:
    """Return the ASN.1 (DER) form of a block's header."""
    integer = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return _der(0x30, _der(0x02, integer) + _der(0x04, previous) + _der(0x04, data))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
