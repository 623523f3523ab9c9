"""Leases when answers fail to come."""

from typing import cast

import pytest

from bal.core.errors import StoreUnavailable
from bal.store.cassandra.leases import CassandraLeases
from bal.store.cassandra.session import Row, Session, Values


class ForgetfulTable:
    """One table of leases without time, whose answers may get lost after the work was done, or the request before it."""

    def __init__(self) -> None:
        self.rows: dict[object, object] = {}
        self.fates: list[str] = []
        self.lifetimes: list[object] = []

    async def apply(self, cql: str, values: Values) -> tuple[bool, Row]:
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "request":
            raise StoreUnavailable("no answer")
        done = self._do(cql, values)
        if fate == "answer":
            raise StoreUnavailable("no answer")
        return done

    def _do(self, cql: str, values: Values) -> tuple[bool, Row]:
        if cql.startswith("INSERT"):
            lane, holder, ttl = values
            if lane in self.rows:
                return False, (lane, self.rows[lane])
        elif cql.startswith("UPDATE"):
            ttl, holder, lane, mine = values
            if self.rows.get(lane) != mine:
                return False, (self.rows.get(lane),)
        else:
            lane, mine = values
            return self.rows.get(lane) == mine and bool(self.rows.pop(lane)), ()
        self.rows[lane] = holder
        self.lifetimes.append(ttl)
        return True, ()


@pytest.fixture
def table() -> ForgetfulTable:
    return ForgetfulTable()


@pytest.fixture
def leases(table: ForgetfulTable) -> CassandraLeases:
    return CassandraLeases(cast("Session", table))


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_one_lost_answer_is_settled(leases: CassandraLeases, table: ForgetfulTable, lost: str) -> None:
    table.fates = [lost]
    assert await leases.hold("bal-1", "a", 10)
    table.fates = [lost]
    assert not await leases.hold("bal-1", "b", 10)
    table.fates = ["", lost]  # keeping it on
    assert await leases.hold("bal-1", "a", 10)
    assert table.rows == {"bal-1": "a"}


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_two_are_told(leases: CassandraLeases, table: ForgetfulTable, lost: str) -> None:
    table.fates = [lost, lost]
    with pytest.raises(StoreUnavailable):
        await leases.hold("bal-1", "a", 10)


async def test_one_that_ran_out_while_it_was_kept_on_is_taken_anew(
    leases: CassandraLeases, table: ForgetfulTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await leases.hold("bal-1", "a", 10)
    do = table._do

    def running_out(cql: str, values: Values) -> tuple[bool, Row]:
        if cql.startswith("UPDATE"):
            table.rows.clear()
        return do(cql, values)

    monkeypatch.setattr(table, "_do", running_out)
    assert await leases.hold("bal-1", "a", 10)
    assert table.rows == {"bal-1": "a"}


@pytest.mark.parametrize("seconds, ttl", [(10.0, 11), (0.2, 2), (9.5, 11)])
async def test_a_row_lives_longer_than_was_asked_for(
    leases: CassandraLeases, table: ForgetfulTable, seconds: float, ttl: int
) -> None:
    await leases.hold("bal-1", "a", seconds)
    assert table.lifetimes == [ttl]
