"""Normaliser: the port, over processes of their own, so that parsing never holds up the service.

Messages held in memory go to a pool. A message that is streamed gets a process to itself, asked for one part ahead of what
is taken, so that what is in memory stays bounded. A message whose process dies is tried once more, alone: one that kills
its process again is unreadable, its neighbours never notice.
"""

import asyncio
import marshal
import multiprocessing
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import BinaryIO, Final, Self

from bal.core.errors import Unavailable, Unreadable
from bal.core.message import Message
from bal.core.pseudonym import PseudonymKey
from bal.core.source import Source
from bal.normalise import worker
from bal.normalise.guard import CHUNK_BYTES
from bal.normalise.parts import parts, unpack
from bal.normalise.worker import Task
from bal.ports import NormalisedPart

_PRELOADED: Final = ["bal.normalise.worker"]
ATTEMPTS = 2
"""How often a message may take its process with it."""


class PoolNormaliser:
    """Normalises in `workers` processes, or in this one where that is 0 (simulation, tests).

    `key_at` gives the pseudonym key in force at a time (microseconds). Keys go to the workers with each message and are kept
    nowhere. Use it as an asynchronous context manager, or `close` it.
    """

    def __init__(self, workers: int, key_at: Callable[[int], PseudonymKey]) -> None:
        self._workers, self._key_at = workers, key_at
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._pool: ProcessPoolExecutor | None = None
        self._streams = asyncio.Semaphore(max(1, workers))
        self._retries = asyncio.Semaphore(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the workers; messages in work are dropped."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def normalise(
        self, message: Message, source: Source, received_at: int, seed: bytes, skip: int
    ) -> AsyncGenerator[NormalisedPart]:
        """Yield the outcomes of `message` from number `skip` on, in parts (`bal.ports.Normaliser`).

        Salts follow from `seed` (32 random bytes, forgotten with the message) as `bal.normalise.parts.part_seed` says. Raises
        `Unreadable` before anything is yielded, but for a streamed body that changes between its two passes or kills its
        process in the second; `Unavailable` for a body that can no longer be read.
        """
        key = self._key_at(received_at)
        if self._workers == 0:
            for part in parts(message, source, key, received_at, seed, skip):
                yield part
                await asyncio.sleep(0)
            return
        body = message.body if isinstance(message.body, bytes) else None
        task = Task(source, key, received_at, seed, skip, message.form, message.digest, message.device, body)
        attempts = ATTEMPTS
        if body is not None:
            result = await self._pooled(task)
            if isinstance(result, tuple):
                raise _unreadable(result)
            if result is not None:
                for packed in result:
                    yield unpack(packed)
                return
            attempts -= 1
        turns = self._streams if body is None else self._retries
        async with turns, aclosing(self._one_process(task, message, attempts)) as found:
            async for part in found:
                yield part

    async def _pooled(self, task: Task) -> list[bytes] | tuple[str, str, str] | None:
        """Return what the pool makes of a message, None when a worker died meanwhile (of this message or another)."""
        pool = self._pool
        if pool is None:
            self._context.set_forkserver_preload(_PRELOADED)
            pool = self._pool = ProcessPoolExecutor(self._workers, self._context, worker.prepare_for_many)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, worker.run, task)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            pool.shutdown(wait=False)
            return None

    async def _one_process(
        self, task: Task, message: Message, attempts: int
    ) -> AsyncGenerator[NormalisedPart]:
        given = 0
        for _ in range(attempts):
            stream = _Stream(self._context, task._replace(first_part=given), message)
            ahead = asyncio.create_task(asyncio.to_thread(stream.next))
            try:
                while (part := await ahead) is not None:
                    ahead = asyncio.create_task(asyncio.to_thread(stream.next))
                    given += 1
                    task = task._replace(skip=part.outcomes)
                    yield part
                return
            except EOFError:
                continue
            finally:
                stream.stop()
                with suppress(EOFError, OSError, Unreadable, Unavailable):
                    await asyncio.shield(ahead)
                await asyncio.to_thread(stream.close)
        raise Unreadable("reading the message made the process that read it end", remedy="report this")


def _unreadable(told: tuple[str, str, str]) -> Unreadable:
    what, subject, remedy = told
    return Unreadable(what, subject=subject, remedy=remedy)


class _Stream:
    """A process that normalises one message, and the body it asks for. Used by one thread at a time."""

    def __init__(self, context: ForkServerContext, task: Task, message: Message) -> None:
        context.set_forkserver_preload(_PRELOADED)
        self._message = message
        self._body: BinaryIO | None = None
        ours, theirs = context.Pipe()
        self._connection: Connection = ours
        self._process: ForkServerProcess = context.Process(
            target=worker.run_alone, args=(task, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def next(self) -> NormalisedPart | None:
        """Serve the process until its next part; None after the last. Raises `EOFError` when it has died."""
        try:
            while True:
                said = self._connection.recv_bytes()
                kind, rest = said[:1], said[1:]
                if kind == worker.PART:
                    return unpack(rest)
                if kind == worker.READ:
                    self._connection.send_bytes(self._read())
                elif kind == worker.OPEN:
                    self._open()
                elif kind == worker.UNREADABLE:
                    raise _unreadable(marshal.loads(rest))  # noqa: S302 - of our own worker
                else:
                    return None
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None

    def _open(self) -> None:
        if self._body is not None:
            self._body.close()
        try:
            assert not isinstance(self._message.body, bytes)
            self._body = self._message.body()
        except OSError as error:
            raise Unavailable("the body of the message cannot be opened", remedy="send it again") from error

    def _read(self) -> bytes:
        assert self._body is not None
        try:
            return self._body.read(CHUNK_BYTES)
        except (OSError, EOFError, ValueError) as error:
            raise Unavailable("the body of the message cannot be read", remedy="send it again") from error

    def stop(self) -> None:
        """End the process, if it has not ended: whoever waits for it hears an `EOFError`."""
        self._process.kill()

    def close(self) -> None:
        """Release what belongs to the process."""
        self._process.join()
        self._process.close()
        self._connection.close()
        if self._body is not None:
            self._body.close()
