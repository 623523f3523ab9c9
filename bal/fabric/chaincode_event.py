"""An event of a contract."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChaincodeEvent:
    """What a contract emitted in a transaction that is committed and valid."""

    block_number: int
    transaction_id: str
    chaincode: str
    name: str
    payload: bytes = field(repr=False)
