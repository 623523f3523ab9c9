"""Errors of the client, one class for each phase of a transaction.

They form a tree of their own, as this package is usable without the rest of `bal`. Messages of peers are passed on as they came; nothing of a proposal, its arguments or
its transient data is added to them.
"""

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What is known about the transaction after an error."""

    NOT_SUBMITTED = "not submitted"
    """No orderer has it from this client, so it will not be committed."""
    UNKNOWN = "unknown"
    """It may have reached an orderer: ask for its commit status by its id before anything is proposed anew."""
    REFUSED = "refused"
    """It is in a block, marked invalid: it changed nothing, and nothing under this id ever will."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What one peer or orderer said: gateway.ErrorDetail of fabric-protos."""

    address: str
    message: str
    msp_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call that failed on the way to an error: which gateway, which organisations were named, what came back."""

    address: str
    organisations: tuple[str, ...]
    code: str
    message: str


class FabricError(Exception):
    """The root of every error this package raises on purpose."""

    outcome: Outcome = Outcome.NOT_SUBMITTED


class NotSigned(FabricError):
    """Something must be signed, there is no signature on it, and the gateway was given no signer."""


class Closed(FabricError):
    """The gateway, or this stream of events, has been closed."""


class IdentityError(FabricError):
    """A certificate or key can't be used to sign for Fabric."""


class CheckpointError(FabricError):
    """The file of a checkpoint can't be read or written, or holds something else."""


class GatewayError(FabricError):
    """A gateway answered with an error, or none answered.

    `code` is the name of the gRPC status ("ABORTED"), `details` what single peers or orderers said, `attempts` every call that was tried when there are several gateways
    or ways to endorse; the message is that of the one that ended the phase, else of the one that says most.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        details: tuple[ErrorDetail, ...] = (),
        transaction_id: str = "",
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details
        self.transaction_id = transaction_id
        self.attempts = attempts

    def __str__(self) -> str:
        said = "; ".join(f"{d.msp_id} {d.address}: {d.message}" for d in self.details)
        return f"{self.code}: {self.message}" + (f" [{said}]" if said else "")


class EvaluateError(GatewayError):
    """Evaluating a transaction failed."""


class EndorseError(GatewayError):
    """A proposal did not get the endorsements it needs. Nothing was submitted."""


class ContractError(EndorseError):
    """The contract itself refused, at one peer or more ("chaincode response 500, ..."): another gateway would not help."""


class MismatchError(EndorseError):
    """Peers endorsed different results ("ProposalResponsePayloads do not match").

    Either the contract is not deterministic, or a peer was a block behind: read again, then propose anew.
    """


class SubmitError(GatewayError):
    """An endorsed transaction could not be handed to an orderer, or it is not known whether it was (`outcome`)."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        details: tuple[ErrorDetail, ...] = (),
        transaction_id: str = "",
        attempts: tuple[Attempt, ...] = (),
        outcome: Outcome = Outcome.UNKNOWN,
    ) -> None:
        super().__init__(
            message, code=code, details=details, transaction_id=transaction_id, attempts=attempts
        )
        self.outcome = outcome


class CommitStatusError(GatewayError):
    """The transaction was submitted; whether it was committed could not be learnt in time."""

    outcome = Outcome.UNKNOWN


class CommitError(FabricError):
    """The transaction is in a block, marked invalid: `code` and `name` are its validation code."""

    outcome = Outcome.REFUSED

    def __init__(self, *, transaction_id: str, code: int, name: str, block_number: int) -> None:
        super().__init__(f"transaction {transaction_id} was refused in block {block_number}: {name}")
        self.transaction_id = transaction_id
        self.code = code
        self.name = name
        self.block_number = block_number
