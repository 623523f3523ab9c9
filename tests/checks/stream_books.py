"""Holds a home that publishes to Kafka against its senders, its ledger, and what a subscriber reads from the topic."""

import json
from collections.abc import Sequence
from typing import Any

from bal.bootstrap.reading import judge
from bal.home import Home
from bal.simulate.checker import Sent, compare
from tests.checks.books import rows
from tests.streams import Found, Stream


async def check_source(home: Home, sent: Sent, stream: Stream, key: Any) -> int:
    """Assert that all that `sent` says was accepted is there: shown once, stored once, on the topic, proved.

    Return how many readings there are. An audit looks at the rest.
    """
    source = sent.plan.source
    shown, stored = await rows(home, source), await rows(home, source, history=True)
    for found, what in ((shown, "shown"), (stored, "stored")):
        outcome = compare([sent], found, key)
        assert not outcome.missing, f"{what}: {outcome.missing.total()} readings are missing"
        assert not outcome.unexpected, f"{what}: {outcome.unexpected.total()} readings too many or altered"
    await check_stream(home, stream, stored)
    return len(stored)


async def check_stream(home: Home, stream: Stream, entries: Sequence[dict[str, Any]]) -> None:
    """Assert that every one of `entries` is on the topic, at least once, in order of each point, and nothing else is.

    Certificates stand there exactly as stored; some of them are verified against the ledger.
    """
    stored = {entry["address"]: {k: v for k, v in entry.items() if k != "address"} for entry in entries}
    out: dict[str, Any] = {}
    certificates = []
    for partition in stream.read():
        check_order(partition)
        for record in partition:
            certificate = json.loads(record.value)
            assert certificate["address"] == str(record.address)
            assert out.setdefault(certificate["address"], certificate["entry"]) == certificate["entry"]
            certificates.append(record.value)
    assert stored.keys() - out.keys() == set(), "stored and never published"
    assert out.keys() - stored.keys() == set(), "published and not stored"
    assert out == stored
    async with judge(home, None, []) as verdict:
        for certificate in certificates[:: 1 + len(certificates) // 100]:
            answer = await verdict(certificate)
            assert answer.valid, answer.reason


def check_order(records: Sequence[Found]) -> None:
    """Assert that the certificates of a measuring point appear first in the order of their addresses."""
    newest: dict[bytes, Any] = {}
    seen = set()
    for record in records:
        if record.address in seen:
            continue
        seen.add(record.address)
        before = newest.get(record.key)
        assert before is None or before < record.address, f"{record.address} came after {before}"
        newest[record.key] = record.address
