"""Holds a home against itself and against what its senders know: stored, certified, published, shown once."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bal.bootstrap.reading import audit_home, judge, open_reader
from bal.core.entry import to_json
from bal.home import Home
from bal.ports import ReadingQuery
from bal.simulate.checker import Sent, compare
from bal.verify.report import AuditReport


async def rows(home: Home, source: str, *, history: bool = False) -> list[dict[str, Any]]:
    """Return the anchored readings of a source with their addresses."""
    async with open_reader(home) as reader:
        query = ReadingQuery(source, history=history, anchored_only=True)
        return [
            {**to_json(found.reading), "address": str(found.address)}
            async for found in reader.store.readings(query)
        ]


async def sources(home: Home) -> list[str]:
    """Return the names of all registered sources."""
    async with open_reader(home) as reader:
        return [source.name for source in await reader.store.sources()]


def published(home: Home) -> list[dict[str, Any]]:
    """Return every line of the JSON Lines output."""
    return [json.loads(line) for line in published_lines(home)]


def published_lines(home: Home) -> list[bytes]:
    """Return every line of the JSON Lines output as it stands."""
    return [line for path in sorted(home.out.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]


async def check_published(home: Home, entries: Sequence[dict[str, Any]]) -> None:
    """Assert that every one of `entries` (history) was published at least once, exactly as stored, and nothing else was."""
    lines = [line for line in published(home) if "erased" not in line]
    stored = {entry["address"]: {k: v for k, v in entry.items() if k != "address"} for entry in entries}
    out = {line["address"]: line["entry"] for line in lines if line["entry"]["type"] == "reading"}
    assert stored.keys() - out.keys() == set(), "stored and never published"
    assert out.keys() - stored.keys() == set(), "published and not stored"
    assert out == stored
    repeated = {address: n for address, n in Counter(line["address"] for line in lines).items() if n > 1}
    assert not repeated, f"the files of certificates leave out what stands there already: {repeated}"


async def check_certificates(home: Home, sample: int) -> int:
    """Verify every `sample`-th published certificate against the ledger; return how many were looked at."""
    lines = [line for line in published_lines(home) if b'"erased"' not in line][::sample]
    async with judge(home, None, []) as verdict:
        for line in lines:
            answer = await verdict(line)
            assert answer.valid, answer.reason
    return len(lines)


async def check_audit(home: Home) -> AuditReport:
    """Assert that an audit finds nothing and that nothing is left in work."""
    report = await audit_home(home, None)
    assert report.ok, report.findings[:5]
    assert report.pending == 0
    return report


async def check_books(home: Home, sent: Sequence[Sent], *, key: Any = None, sample: int = 1) -> int:
    """Assert that all that `sent` says was accepted is there, with its values: shown once, stored once, published, proved.

    Sources that `sent` does not name are held against the home itself. Return how many readings there are.
    """
    entries: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for source in await sources(home):
        entries += await rows(home, source)
        history += await rows(home, source, history=True)
    for found, what in ((entries, "shown"), (history, "stored")):
        outcome = compare(sent, found, key)
        assert not outcome.missing, f"{what}: {outcome.missing.total()} readings are missing"
        assert not outcome.unexpected, (
            f"{what}: {outcome.unexpected.total()} readings too many or with other values"
        )
    await check_published(home, history)
    await check_certificates(home, sample)
    report = await check_audit(home)
    assert report.readings == len(history)
    return len(history)


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
