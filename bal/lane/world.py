"""What a lane works with, and what goes from one of its stages to the next."""

from collections.abc import Sequence
from dataclasses import dataclass

from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.lane.metrics import LaneMetrics
from bal.ports import Clock, Ledger, Normaliser, Publisher, Quarantine, Random, Store, Tasks
from chaincode.anchor import Anchor


@dataclass(frozen=True, slots=True)
class World:
    """Everything the flow needs of the world."""

    store: Store
    ledger: Ledger
    quarantine: Quarantine
    normaliser: Normaliser
    publishers: Sequence[Publisher]
    clock: Clock
    random: Random
    tasks: Tasks
    metrics: LaneMetrics


@dataclass(frozen=True, slots=True)
class ToAnchor:
    """A stored batch; read again where it is not kept in memory."""

    anchor: Anchor
    batch: SealedBatch | None


@dataclass(frozen=True, slots=True)
class ToPublish:
    """An anchored batch; read again where it is not kept in memory."""

    log: str
    seq: int
    batch: CertifiedBatch | None
