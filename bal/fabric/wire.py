"""Fabric's messages: built and read here, so that the generated modules (which bring no types) show nowhere else.

Field by field as in fabric-protos: common/common.proto, peer/proposal.proto, peer/chaincode.proto, msp/identities.proto, gateway/gateway.proto.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from fabric_protos.common import common_pb2 as common
from fabric_protos.gateway import gateway_pb2 as gateway
from fabric_protos.msp import identities_pb2 as identities
from fabric_protos.peer import chaincode_pb2 as chaincodes
from fabric_protos.peer import proposal_pb2 as proposals
from fabric_protos.peer import proposal_response_pb2 as responses
from fabric_protos.peer import transaction_pb2 as transactions
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

VALID: int = transactions.VALID
DUPLICATE_TXID: int = transactions.DUPLICATE_TXID
MVCC_CONFLICTS: frozenset[int] = frozenset(
    {transactions.MVCC_READ_CONFLICT, transactions.PHANTOM_READ_CONFLICT}
)
NONCE_BYTES = 24


def creator(msp_id: str, credentials: bytes) -> bytes:
    """Return msp.SerializedIdentity: who signs."""
    return _bytes(identities.SerializedIdentity(mspid=msp_id, id_bytes=credentials))


def header(
    kind: int, channel: str, who: bytes, extension: bytes = b"", tls_hash: bytes = b""
) -> tuple[str, Any]:
    """Return a transaction id, SHA-256 of nonce and creator, and the common.Header that carries it."""
    nonce = os.urandom(NONCE_BYTES)
    transaction_id = hashlib.sha256(nonce + who).hexdigest()
    now = Timestamp()
    now.GetCurrentTime()
    channel_header = common.ChannelHeader(
        type=kind,
        timestamp=now,
        channel_id=channel,
        tx_id=transaction_id,
        extension=extension,
        tls_cert_hash=tls_hash,
    )
    signature_header = common.SignatureHeader(creator=who, nonce=nonce)
    return transaction_id, common.Header(
        channel_header=_bytes(channel_header), signature_header=_bytes(signature_header)
    )


def proposed_transaction(
    channel: str,
    chaincode: str,
    arguments: Sequence[bytes],
    who: bytes,
    transient: Mapping[str, bytes],
    organisations: Sequence[str],
) -> Any:
    """Return gateway.ProposedTransaction, not signed; the first argument is the function's name."""
    name = chaincodes.ChaincodeID(name=chaincode)
    extension = _bytes(proposals.ChaincodeHeaderExtension(chaincode_id=name))
    transaction_id, head = header(common.ENDORSER_TRANSACTION, channel, who, extension)
    spec = chaincodes.ChaincodeSpec(chaincode_id=name, input=chaincodes.ChaincodeInput(args=arguments))
    invocation = chaincodes.ChaincodeInvocationSpec(chaincode_spec=spec)
    payload = proposals.ChaincodeProposalPayload(input=_bytes(invocation), TransientMap=transient)
    proposal = proposals.Proposal(header=_bytes(head), payload=_bytes(payload))
    return gateway.ProposedTransaction(
        transaction_id=transaction_id,
        proposal=proposals.SignedProposal(proposal_bytes=_bytes(proposal)),
        endorsing_organizations=organisations,
    )


def has_transient(proposal_bytes: bytes) -> bool:
    """Tell whether a proposal carries transient data."""
    payload = parse(proposals.Proposal, proposal_bytes).payload
    return bool(parse(proposals.ChaincodeProposalPayload, payload).TransientMap)


def channel_of_proposal(proposal_bytes: bytes) -> str:
    """Return the channel a proposal is for."""
    return channel_of(parse(proposals.Proposal, proposal_bytes).header)


def channel_of(header_bytes: bytes) -> str:
    """Return the channel of a serialized common.Header."""
    channel_header = parse(common.Header, header_bytes).channel_header
    return str(parse(common.ChannelHeader, channel_header).channel_id)


def read_transaction(payload_bytes: bytes) -> tuple[str, bytes]:
    """Return channel and result of an endorsed transaction (common.Payload)."""
    payload = parse(common.Payload, payload_bytes)
    channel = str(parse(common.ChannelHeader, payload.header.channel_header).channel_id)
    for action in parse(transactions.Transaction, payload.data).actions:
        endorsed = parse(transactions.ChaincodeActionPayload, action.payload).action
        response = parse(responses.ProposalResponsePayload, endorsed.proposal_response_payload)
        return channel, bytes(parse(proposals.ChaincodeAction, response.extension).response.payload)
    raise ValueError("a transaction without an action")


def commit_request(channel: str, transaction_id: str, who: bytes) -> Any:
    """Return gateway.SignedCommitStatusRequest, not signed."""
    request = gateway.CommitStatusRequest(transaction_id=transaction_id, channel_id=channel, identity=who)
    return gateway.SignedCommitStatusRequest(request=_bytes(request))


def validation_name(code: int) -> str:
    """Return the name of a transaction validation code, "MVCC_READ_CONFLICT"; an unknown one as its number."""
    try:
        return str(transactions.TxValidationCode.Name(code))
    except ValueError:
        return f"CODE_{code}"


def parse(kind: Any, data: bytes) -> Any:
    """Read a message.

    Raises ValueError where the bytes are none of this kind.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ValueError(f"not a {kind.DESCRIPTOR.full_name}") from error


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())
