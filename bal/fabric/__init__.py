"""An asyncio client of the Hyperledger Fabric Gateway (Fabric 2.4 and later), usable on its own.

The nouns are those of Hyperledger's Node client: gateway, network, contract, proposal, transaction, commit, status. See docs/fabric-client.md. Needs the extra `fabric`.
"""

from bal.fabric import hashes
from bal.fabric.chaincode_event import ChaincodeEvent
from bal.fabric.checkpoint import Checkpoint, Checkpointer
from bal.fabric.commit import Commit, Status, SubmittedTransaction
from bal.fabric.contract import Contract
from bal.fabric.deadlines import Deadlines
from bal.fabric.endorsers import Endorsers
from bal.fabric.endpoint import Endpoint
from bal.fabric.errors import (
    Attempt,
    CheckpointError,
    Closed,
    CommitError,
    CommitStatusError,
    ContractError,
    EndorseError,
    ErrorDetail,
    EvaluateError,
    FabricError,
    GatewayError,
    IdentityError,
    MismatchError,
    NotSigned,
    Outcome,
    SubmitError,
)
from bal.fabric.events import Events
from bal.fabric.events_request import EventsRequest
from bal.fabric.file_checkpointer import FileCheckpointer
from bal.fabric.gateway import Gateway, connect
from bal.fabric.identity import Identity
from bal.fabric.network import Network
from bal.fabric.proposal import Proposal
from bal.fabric.retry import Retry
from bal.fabric.signers import Signer, private_key_signer
from bal.fabric.transaction import Transaction

__all__ = [
    "Attempt",
    "ChaincodeEvent",
    "Checkpoint",
    "CheckpointError",
    "Checkpointer",
    "Closed",
    "Commit",
    "CommitError",
    "CommitStatusError",
    "Contract",
    "ContractError",
    "Deadlines",
    "EndorseError",
    "Endorsers",
    "Endpoint",
    "ErrorDetail",
    "EvaluateError",
    "Events",
    "EventsRequest",
    "FabricError",
    "FileCheckpointer",
    "Gateway",
    "GatewayError",
    "Identity",
    "IdentityError",
    "MismatchError",
    "Network",
    "NotSigned",
    "Outcome",
    "Proposal",
    "Retry",
    "Signer",
    "Status",
    "SubmitError",
    "SubmittedTransaction",
    "Transaction",
    "connect",
    "hashes",
    "private_key_signer",
]
