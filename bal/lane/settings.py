"""The numbers a lane works by."""

from pydantic import BaseModel, ConfigDict, Field

from bal.core.limits import ANCHORS_PER_TRANSACTION, BATCH_LEAVES, BATCH_LEAVES_MAX, RECEIPT_DAYS


class LaneSettings(BaseModel):
    """Batching, anchoring and back-pressure of every lane."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_leaves: int = Field(BATCH_LEAVES, ge=1, le=BATCH_LEAVES_MAX, description="Leaves of a full batch.")
    batch_window_ms: int = Field(
        250, ge=1, le=60_000, description="Longest time a reading waits for its batch to fill, milliseconds."
    )
    anchors_per_transaction: int = Field(
        ANCHORS_PER_TRANSACTION,
        ge=1,
        le=ANCHORS_PER_TRANSACTION,
        description="Most batches anchored by one ledger transaction.",
    )
    intake_messages: int = Field(
        256, ge=1, le=65_536, description="Most messages taken and not yet stored; past it senders wait."
    )
    intake_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="Most bytes of messages taken and not yet stored; past it senders wait.",
    )
    unanchored_batches: int = Field(
        256, ge=1, description="Most batches stored and not yet anchored; past it acknowledging stops."
    )
    unpublished_bytes: int = Field(
        1024 * 1024 * 1024,
        ge=1024,
        description="Most bytes of certificates anchored and not yet published (estimated); past it acknowledging stops.",
    )
    unpublished_hours: float = Field(
        24.0,
        gt=0,
        description="Longest time the oldest unpublished batch may wait, hours; past it acknowledging stops.",
    )
    settle_seconds: float = Field(
        30.0,
        gt=0,
        description="How long an unknown ledger outcome is settled by reading before it is submitted again.",
    )
    retry_seconds: float = Field(
        5.0, gt=0, description="Longest pause between attempts while the ledger or an output does not answer."
    )
    lease_seconds: float = Field(
        10.0,
        ge=1,
        le=600,
        description="How long a worker holds a lane without a word, where several share a store, seconds.",
    )
    receipt_days: int = Field(
        RECEIPT_DAYS, ge=1, description="How long the answer to a message is remembered, days."
    )
