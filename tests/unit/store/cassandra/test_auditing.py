"""Rows nothing leads to: what a look at the tables costs, and what is written while it goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator

import pytest

from bal.core.address import Address
from bal.store.cassandra import auditing, registry
from bal.store.cassandra.encoding import encode_tiles
from bal.store.cassandra.session import Row, Session, Values
from bal.store.cassandra.strips import pack
from tests.unit.store.rows import reading

TABLES = ("readings", "tiles", "batches", "erasures", "erased", "marks")


class Tables(Session):
    """A session over rows in memory that counts how often a table is read from end to end."""

    def __init__(self, batches: int) -> None:
        self.held: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.scans: Counter[str] = Counter()
        self.coming = 0
        """Batches that are written while the tiles are read."""
        for seq in range(batches):
            self.batch(seq)

    def batch(self, seq: int) -> None:
        self.held["batches"].append(("bal-1", 0, seq, '{"size": 2}', b""))
        self.held["tiles"].append(("bal-1", seq, 0))
        self.held["readings"].append(("bal-1", seq, pack([0, 1])))

    async def pages(self, cql: str, values: Values = (), *, page: int = 0) -> AsyncGenerator[list[Row], None]:
        (name,) = (name for name in TABLES if cql.endswith(f"FROM {name}"))
        self.scans[name] += 1
        if name == "tiles":
            while self.coming:
                self.coming -= 1
                self.batch(len(self.held["batches"]))
        yield list(self.held[name])

    async def one(self, cql: str, values: Values = (), *, serial: bool = False) -> Row | None:
        return (encode_tiles([reading("1"), reading("2", 1)], [bytes(16)] * 2)[0],)


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    async def logs(_: Session) -> list[str]:
        return ["bal-1"]

    monkeypatch.setattr(registry, "logs", logs)


async def test_a_look_reads_each_table_once_and_the_records_before_it_too() -> None:
    tables = Tables(3)
    tables.coming = 2
    assert await auditing.strays(tables) == []
    assert tables.scans == {
        **dict.fromkeys(("readings", "tiles", "erasures", "erased"), 1),
        "batches": 2,
        "marks": 2,
    }


async def test_strays_are_what_two_looks_find() -> None:
    tables = Tables(3)
    tables.held["tiles"].append(("bal-1", 7, 0))
    tables.held["readings"] += [("bal-1", 2, pack([2])), ("bal-2", 0, pack([0])), ("bal-1", 0, pack([1]))]
    tables.held["readings"] += [("bal-1", 1, blob) for blob in (b"\0", b"", None)]
    assert await auditing.strays(tables) == [
        Address("bal-1", 0, 1),
        Address("bal-1", 1, -1),
        Address("bal-1", 2, 2),
        Address("bal-1", 7, 0),
        Address("bal-1", 7, 1),
        Address("bal-2", 0, 0),
    ]
    assert tables.scans["batches"] == tables.scans["marks"] == 3


async def test_many_rows_are_marked_off_some_batches_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_PASS_READINGS", 4)
    tables = Tables(5)
    tables.held["readings"].append(("bal-1", 4, pack([2])))
    assert await auditing.strays(tables) == [Address("bal-1", 4, 2)]
    assert tables.scans["readings"] == 2 * 3
