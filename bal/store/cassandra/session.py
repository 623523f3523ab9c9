"""A connection to Cassandra for asyncio: cassandra-driver works on its own thread, the loop never waits for it."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Self, TypeAlias

from cassandra import ConsistencyLevel
from cassandra.cluster import ResultSet
from cassandra.query import BatchStatement, BatchType, BoundStatement, SimpleStatement

from bal.core.errors import BalError, StoreUnavailable
from bal.store.cassandra import driver
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.completions import Completions
from bal.store.cassandra.failures import failed, unreached

Values: TypeAlias = Sequence[object]
Row: TypeAlias = tuple[Any, ...]
Write: TypeAlias = tuple[str, Values]
"""CQL with `?`, and its values in order."""

PAGE_ROWS = 2000
BATCH_ROWS = 64
"""Most rows of a batch."""
BATCH_BYTES = 32 * 1024
"""Bytes of values that fill a batch: a quarter of what Cassandra warns of."""
_DDL_SECONDS = 60.0


class Session:
    """Requests to one keyspace under one role.

    Every request is CQL with `?`, prepared on first use, at LOCAL_QUORUM. Raises `StoreUnavailable` when there is no answer
    or one that leaves open whether a write was done, `StoreFailed` when it was refused. A row is a tuple in the order of the
    columns asked for. No more than `access.in_flight` requests are under way; the rest wait.
    """

    def __init__(self, access: CassandraAccess, connected: Any) -> None:
        self.access = access
        # Named in every request: a connection that was told `USE` makes Cassandra warn of every prepared statement.
        self._keyspace = access.keyspace or None
        self._cluster = connected.cluster
        self._driver = connected
        self._permits = asyncio.Semaphore(access.in_flight)
        self._completions = Completions(asyncio.get_running_loop(), self._permits.release)
        self._prepared: dict[str, asyncio.Future[Any]] = {}

    @classmethod
    async def connect(cls, access: CassandraAccess) -> Self:
        """Connect and log in. `StoreUnavailable`, or `Misconfigured` when it will never be let in like this."""
        return cls(access, await asyncio.to_thread(_connect, access))

    async def close(self) -> None:
        """End the connections; requests under way fail."""
        await asyncio.to_thread(self._cluster.shutdown)

    # --- reading ----------------------------------------------------------------------------------------------------
    async def one(self, cql: str, values: Values = (), *, serial: bool = False) -> Row | None:
        """Return the first row, None when there is none.

        `serial` also waits for conditional writes under way on the partition to be settled, and settles them: what it
        returns is the outcome of one that got no answer. It sees one partition.
        """
        rows = await self._read(cql, values, serial=serial)
        return rows[0] if rows else None

    async def all(self, cql: str, values: Values = ()) -> list[Row]:
        """Return all rows; for answers known to be short."""
        return [row async for page in self.pages(cql, values) for row in page]

    async def rows(
        self, cql: str, values: Values = (), *, page: int = PAGE_ROWS
    ) -> AsyncGenerator[Row, None]:
        """Yield rows, `page` at a time from the server."""
        async with aclosing(self.pages(cql, values, page=page)) as pages:
            async for each in pages:
                for row in each:
                    yield row

    async def pages(
        self, cql: str, values: Values = (), *, page: int = PAGE_ROWS
    ) -> AsyncGenerator[list[Row], None]:
        """Yield pages of rows; the next one is on its way while one is worked on."""
        statement = (await self.prepare(cql)).bind(values)
        statement.is_idempotent = True
        statement.fetch_size = page
        waiter: asyncio.Future[Any] | None = await self._send(statement)
        try:
            while waiter is not None:
                answer = await _answer(waiter)
                more = answer.paging_state
                waiter = await self._send(statement, more) if more else None
                yield answer.current_rows
        finally:
            if waiter is not None:
                waiter.cancel()

    # --- writing ----------------------------------------------------------------------------------------------------
    async def write(self, cql: str, values: Values = (), *, idempotent: bool = True) -> None:
        """Write. One that is not idempotent is never sent twice."""
        statement = (await self.prepare(cql)).bind(values)
        statement.is_idempotent = idempotent
        await _answer(await self._send(statement))

    async def apply(self, cql: str, values: Values = ()) -> tuple[bool, Row]:
        """Write conditionally (`IF …`): return whether it was applied, and after that what stands there if it was not.

        Never sent twice. After `StoreUnavailable` the outcome is unknown: read with `serial=True` to settle it.
        """
        statement = (await self.prepare(cql)).bind(values)
        rows = (await _answer(await self._send(statement))).current_rows
        return bool(rows[0][0]), rows[0][1:]

    async def write_together(self, writes: Iterable[Write], *, logged: bool = False) -> None:
        """Write idempotent writes in one batch.

        Rows of one partition become visible together. `logged` makes those of several partitions all happen in the
        end, for twice the work.
        """
        batch = _batch(logged=logged)
        for cql, values in writes:
            batch.add(await self.prepare(cql), values)
        if len(batch):
            await _answer(await self._send(batch))

    async def write_many(self, writes: Iterable[Write], *, rows: int = BATCH_ROWS) -> None:
        """Write any number of idempotent writes in unlogged batches of `rows`, each for one set of replicas.

        Returns once all are written; raises the first error after the others came to an end. Writes of one partition that
        follow one another are written fastest.
        """
        waiters: list[asyncio.Future[Any]] = []
        open_batches: dict[object, Any] = {}
        try:
            for cql, values in writes:
                bound = (await self.prepare(cql)).bind(values)
                replicas = self._replicas(bound)
                batch = open_batches.get(replicas)
                if batch is None:
                    batch = open_batches[replicas] = _batch(logged=False)
                batch.add(bound)
                if len(batch) >= rows:
                    waiters.append(await self._send(open_batches.pop(replicas)))
                    await asyncio.sleep(0)  # encoding rows takes a while: others get their turn
            waiters += [await self._send(batch) for batch in open_batches.values()]
        finally:
            outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise failed(outcome) from None

    async def write_rows(self, cql: str, rows: Iterable[Sequence[bytes]]) -> None:
        """Write rows as `write_many` does, their values in the form of the protocol already: half the work of binding.

        A batch is full with `BATCH_ROWS`, or with `BATCH_BYTES` of values.
        """
        prepared = await self.prepare(cql)
        waiters: list[asyncio.Future[Any]] = []
        open_batches: dict[object, Any] = {}
        sizes: dict[object, int] = {}
        alone = len(self._cluster.metadata.all_hosts()) <= 1
        try:
            for values in rows:
                bound = BoundStatement(prepared)
                bound.values = values
                replicas = None if alone else self._replicas(bound)
                batch = open_batches.get(replicas)
                if batch is None:
                    batch, sizes[replicas] = _batch(logged=False), 0
                    open_batches[replicas] = batch
                batch.add(bound)
                sizes[replicas] += sum(map(len, values))
                if len(batch) >= BATCH_ROWS or sizes[replicas] >= BATCH_BYTES:
                    waiters.append(await self._send(open_batches.pop(replicas)))
                    await asyncio.sleep(0)
            waiters += [await self._send(batch) for batch in open_batches.values()]
        finally:
            outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise failed(outcome) from None

    # --- definitions ------------------------------------------------------------------------------------------------
    async def define(self, cql: str, *, explain: bool = False) -> None:
        """Run CQL as it stands: definitions of tables and roles. Waits until all nodes agree on the schema.

        With `explain` a refusal says in Cassandra's words why; these may quote the statement.
        """
        waiter = await self._send(SimpleStatement(cql, keyspace=self._keyspace), seconds=_DDL_SECONDS)
        try:
            await waiter
        except Exception as error:  # noqa: BLE001 - as above
            known = failed(error)
            if explain and not isinstance(known, StoreUnavailable):
                known.what = f"{known.what}: {error}"
            raise known from None

    async def prepare(self, cql: str) -> Any:
        """Return the driver's prepared statement; prepared once, again only after a failure."""
        waiter = self._prepared.get(cql)
        if waiter is None:
            waiter = self._prepared[cql] = asyncio.ensure_future(
                asyncio.to_thread(self._driver.prepare, cql, keyspace=self._keyspace)
            )
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            return waiter.result()
        try:
            return await asyncio.shield(waiter)
        except Exception as error:  # noqa: BLE001 - the driver's errors have no common root
            if self._prepared.get(cql) is waiter:
                del self._prepared[cql]
            raise failed(error) from None

    # --- within -----------------------------------------------------------------------------------------------------
    async def _read(self, cql: str, values: Values, *, serial: bool) -> list[Row]:
        statement = (await self.prepare(cql)).bind(values)
        statement.is_idempotent = True
        if serial:
            statement.consistency_level = ConsistencyLevel.LOCAL_SERIAL
        return (await _answer(await self._send(statement))).current_rows or []

    async def _send(
        self, statement: Any, paging_state: bytes | None = None, seconds: float | None = None
    ) -> "asyncio.Future[Any]":
        """Send a statement, waiting while too many are under way; the future has its `ResultSet` or the driver's error."""
        await self._permits.acquire()
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(_look)
        try:
            request = self._driver.execute_async(
                statement,
                timeout=self.access.request_seconds if seconds is None else seconds,
                paging_state=paging_state,
            )
        except BaseException:
            self._permits.release()
            raise
        request.add_callbacks(self._answered, self._failed, (waiter, request), None, (waiter,), None)
        return waiter

    def _answered(self, rows: Any, waiter: "asyncio.Future[Any]", request: Any) -> None:
        self._completions.put(waiter, ResultSet(request, rows))

    def _failed(self, error: BaseException, waiter: "asyncio.Future[Any]") -> None:
        self._completions.put(waiter, error=error)

    def _replicas(self, bound: Any) -> object:
        """Return what stands for the replicas of a statement's partition: equal for equal sets."""
        metadata = self._cluster.metadata
        if len(metadata.all_hosts()) <= 1:
            return None
        return frozenset(host.host_id for host in metadata.get_replicas(bound.keyspace, bound.routing_key))


def _connect(access: CassandraAccess) -> Any:
    try:
        return driver.connect(access)
    except BalError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise unreached(error) from None


def _batch(*, logged: bool) -> Any:
    batch = BatchStatement(BatchType.LOGGED if logged else BatchType.UNLOGGED)
    batch.is_idempotent = True
    return batch


async def _answer(waiter: "asyncio.Future[Any]") -> Any:
    try:
        return await waiter
    except Exception as error:  # noqa: BLE001 - as above
        raise failed(error) from None


def _look(waiter: "asyncio.Future[Any]") -> None:
    """Look at an error that nobody may be waiting for any more."""
    if not waiter.cancelled():
        waiter.exception()
