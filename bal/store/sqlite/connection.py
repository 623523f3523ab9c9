"""Threads and connections: one writer, several readers, none of them blocking the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from bal.core.errors import BalError, StoreFailed
from bal.store.sqlite.schema import SCHEMA_VERSION

READERS = 4
_NO_TEXT = "Could not decode to UTF-8"

P = ParamSpec("P")
T = TypeVar("T")


class Connections:
    """An SQLite file's writer thread and reader threads, each with a connection of its own."""

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        pragmas: tuple[str, ...],
        read_only: bool = False,
        prepare: Callable[[sqlite3.Connection], object] = lambda _: None,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self._pragmas = pragmas
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._closed = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.stem}-reader")
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._failing():
                connection = self._connect()
                for pragma in pragmas:
                    connection.execute(pragma)
                path.chmod(0o600)
                self._check_version(connection)
                connection.executescript(schema)
                prepare(connection)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.close()
                self._opened.remove(connection)
        elif not path.exists():
            message = "there is no database here"
            raise StoreFailed(message, subject=path.name, remedy="name an existing home with --home")

    def _check_version(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            message = f"this database was made by a newer release (schema {version}, here {SCHEMA_VERSION})"
            raise StoreFailed(message, subject=self.path.name, remedy="use that release, or a newer one")

    def _failing(self) -> "_Failing":
        return _Failing(self.path.name)

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rwc"
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
        self._opened.append(connection)
        return connection

    def _thread_connection(self, *, writing: bool) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            for pragma in self._pragmas if not self.read_only else self._pragmas[3:5]:
                connection.execute(pragma)
            self._check_version(connection)
            if not writing:
                connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
        return connection

    async def write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work` in one transaction on the writer's thread; durable when this returns."""
        return await self._run(self._writer, partial(self._transaction, work, *args, **kwargs))

    async def write_outside(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work` on the writer's thread outside any transaction."""
        return await self._run(
            self._writer, partial(self._plain, work, writing=True, args=args, kwargs=kwargs)
        )

    async def read(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work` on a reader's thread."""
        return await self._run(
            self._readers, partial(self._plain, work, writing=False, args=args, kwargs=kwargs)
        )

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            message = "this database is closed"
            raise StoreFailed(message, subject=self.path.name, remedy="open it again")
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _plain(
        self, work: Callable[..., T], *, writing: bool, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> T:
        with self._failing():
            connection = self._thread_connection(writing=writing)
            try:
                return work(connection, *args, **kwargs)
            except sqlite3.OperationalError as error:
                if writing or not str(error).startswith(_NO_TEXT):
                    raise
            # A row altered so that it is no text any more must not hide its neighbours: it is read as another text, which
            # no proof fits. Only then, since a text factory of our own costs more than all the rest of reading.
            connection.text_factory = partial(str, encoding="utf-8", errors="replace")
            try:
                return work(connection, *args, **kwargs)
            finally:
                connection.text_factory = str

    def _transaction(self, work: Callable[..., T], *args: object, **kwargs: object) -> T:
        with self._failing():
            connection = self._thread_connection(writing=True)
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection, *args, **kwargs)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    async def close(self) -> None:
        """Finish what was begun and close every connection."""
        self._closed = True
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        for connection in self._opened:
            connection.close()


class _Failing:
    """Turns SQLite's errors into `StoreFailed`, whose text holds no bound value."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error) and not isinstance(error, BalError):
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            message = f"the database failed ({name})"
            raise StoreFailed(
                message,
                subject=self._subject,
                remedy="check the disk's free space and the file's permissions",
            ) from None  # SQLite quotes a text it cannot decode
