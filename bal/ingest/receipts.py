"""What a sender reads on `accepted` and `rejected`: JSON, never a byte of what it sent."""

import json

from bal.core.message import Receipt
from bal.core.topics import accepted_topic, rejected_topic


def receipt_messages(receipt: Receipt) -> list[tuple[str, bytes]]:
    """Return the (topic, payload) that tell a sender what became of its message, rejections first.

    `accepted` holds source, digest, counts and address ranges, and is sent for every message that was read, so that it
    ends the sender's duty to keep it. `rejected` holds source, digest, count and the rejections one by one.
    """
    told = receipt.to_json()
    rejections = told.pop("rejections")
    messages = [(accepted_topic(receipt.source), _json(told))]
    if receipt.rejected or rejections:
        refused = {
            "source": receipt.source,
            "digest": told["digest"],
            "rejected": receipt.rejected,
            "rejections": rejections,
        }
        messages.insert(0, (rejected_topic(receipt.source), _json(refused)))
    return messages


def rejection_message(source: str, digest: bytes, rejections: list[tuple[str, str]]) -> tuple[str, bytes]:
    """Return the (topic, payload) that tell a sender that nothing of a message was accepted."""
    told = {
        "source": source,
        "digest": digest.hex(),
        "rejected": len(rejections),
        "rejections": [{"reason": reason, "where": where} for reason, where in rejections],
    }
    return rejected_topic(source), _json(told)


def _json(told: dict[str, object]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()
