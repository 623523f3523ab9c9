"""The session at work: pages, conditional writes, batches, a server that is killed."""

import asyncio
import contextlib

import pytest

from bal.core.errors import StoreFailed, StoreUnavailable
from bal.store.cassandra.session import BATCH_ROWS, Session
from tests.patience import PATIENCE
from tests.real import Real

PUT = "INSERT INTO notes (page, line, text) VALUES (?, ?, ?)"
AT = "INSERT INTO notes (page, line, text) VALUES (?, ?, ?) USING TIMESTAMP ?"
NEW = "INSERT INTO notes (page, line, text) VALUES (?, ?, ?) IF NOT EXISTS"
GET = "SELECT line, text FROM notes WHERE page = ?"
ONE = "SELECT text FROM notes WHERE page = ? AND line = ?"


async def test_rows_come_back_in_order_page_by_page(session: Session) -> None:
    lines = [("a", number, f"line {number}") for number in range(1000)]
    await session.write_many((PUT, line) for line in lines)
    pages = [page async for page in session.pages(GET, ("a",), page=300)]
    assert [len(page) for page in pages] == [300, 300, 300, 100]
    assert [row async for row in session.rows(GET, ("a",), page=7)] == [line[1:] for line in lines]
    assert await session.all(GET, ("none",)) == []


async def test_it_knows_who_has_a_row_and_reads_no_tables_of_others(session: Session) -> None:
    known = session._cluster.metadata
    assert list(known.keyspaces) == [session.access.keyspace]
    bound = (await session.prepare(ONE)).bind(("a", 1))
    assert known.get_replicas(session.access.keyspace, bound.routing_key) == known.all_hosts()


async def test_whoever_stops_reading_leaves_nothing_behind(session: Session) -> None:
    await session.write_many((PUT, ("a", number, "x")) for number in range(500))
    for _ in range(2 * session.access.in_flight):  # more often than there are permits
        async with contextlib.aclosing(session.rows(GET, ("a",), page=100)) as rows:
            assert await anext(rows) == (0, "x")


async def test_a_conditional_write_says_what_stands_there(session: Session) -> None:
    assert await session.apply(NEW, ("a", 1, "first")) == (True, ())
    applied, standing = await session.apply(NEW, ("a", 1, "second"))
    assert not applied
    assert "first" in standing
    assert await session.one(ONE, ("a", 1), serial=True) == ("first",)


async def test_of_many_at_once_one_is_applied(session: Session) -> None:
    tries = await asyncio.gather(
        *(session.apply(NEW, ("race", 1, str(number))) for number in range(10)), return_exceptions=True
    )
    row = await session.one(ONE, ("race", 1), serial=True)
    assert row is not None
    applied = [
        str(number) for number, done in enumerate(tries) if not isinstance(done, BaseException) and done[0]
    ]
    unknown = [done for done in tries if isinstance(done, BaseException)]
    assert all(isinstance(error, StoreUnavailable) for error in unknown)
    assert applied == [row[0]] or (applied == [] and unknown)


async def test_writing_again_with_the_same_timestamp_changes_nothing(session: Session) -> None:
    await session.write(AT, ("a", 1, "newer", 2_000))
    await session.write(AT, ("a", 1, "older", 1_000))
    assert await session.one(ONE, ("a", 1)) == ("newer",)


async def test_writes_of_one_batch(session: Session) -> None:
    await session.write_together([(PUT, ("a", 1, "x")), (PUT, ("b", 1, "y"))], logged=True)
    await session.write_together([])
    assert [await session.one(ONE, (page, 1)) for page in "ab"] == [("x",), ("y",)]


async def test_rows_of_any_size_go_in_batches_that_cassandra_takes(session: Session) -> None:
    rows = [(f"p{number}", number, "x" * (90_000 if number % 2 else 10)) for number in range(2 * BATCH_ROWS)]
    encoded = [[page.encode(), line.to_bytes(4), text.encode()] for page, line, text in rows]
    await session.write_rows(
        PUT, encoded
    )  # as many of them as rows of a batch would be refused: 2 MiB is the most
    found = [await session.all(GET, (page,)) for page, _, _ in rows]
    assert found == [[(line, text)] for _, line, text in rows]


async def test_more_requests_than_may_be_under_way(session: Session) -> None:
    count = 4 * session.access.in_flight
    await asyncio.gather(*(session.write(PUT, ("a", number, "x")) for number in range(count)))
    assert len(await session.all(GET, ("a",))) == count


async def test_a_cancelled_waiter_gives_its_permit_back(session: Session) -> None:
    await session.write(PUT, ("a", 1, "x"))
    for _ in range(2 * session.access.in_flight):
        waiting = asyncio.ensure_future(session.one(ONE, ("a", 1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert await session.one(ONE, ("a", 1)) == ("x",)


async def test_a_refusal_tells_no_value(session: Session) -> None:
    with pytest.raises(StoreFailed) as caught:
        await session.define("INSERT INTO notes (page, line, text) VALUES ('secret', 'secret', 'secret')")
    assert not isinstance(caught.value, StoreUnavailable)
    assert "secret" not in caught.value.diagnostics()
    with pytest.raises(StoreFailed, match="not there"):
        await session.all("SELECT * FROM no_such_table")


async def test_a_killed_server_is_told_at_once_loses_nothing_it_acknowledged_and_is_found_again(
    real: Real, session: Session
) -> None:
    acknowledged: list[int] = []
    enough = asyncio.Event()

    async def write(first: int) -> None:
        number = first
        while True:
            await session.write(PUT, ("kept", number, "x" * 300))
            acknowledged.append(number)
            if len(acknowledged) > 500:
                enough.set()
            number += 16

    writers = [asyncio.ensure_future(write(first)) for first in range(16)]
    await enough.wait()
    (process,) = real.server("cassandra").processes(real.layout, real.ports("cassandra"))
    await asyncio.to_thread(process.kill)
    ended = await asyncio.gather(*writers, return_exceptions=True)
    assert {type(each) for each in ended} == {StoreUnavailable}
    with pytest.raises(StoreUnavailable):
        await session.one(GET, ("kept",))
    await asyncio.to_thread(real, "cassandra")
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StoreUnavailable):
                kept = {line for line, _ in await session.all(GET, ("kept",))}
                break
            await asyncio.sleep(0.1)
    assert set(acknowledged) - kept == set()
