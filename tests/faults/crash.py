"""A service that kills itself at a chosen point: one process forked for each job read from standard input.

It is the pipeline of `bal run`, opened by the same `open_service` with the same settings; only the doors are left out:
messages are submitted as they would submit them.

A job is one line of JSON: `home`, `work` ("send" or "erase"), `point`, `when` ("before", "after", "torn"), `nth`, and where
the receipts are written down; `sources` may hold `suffix`, the end of their names, and members of their registration. The
answer to each is one line: how the process ended. The clean process that forks has imported everything once, so that one
crash takes a tenth of a second.
"""

import asyncio
import inspect
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bal.anchor.embedded.blockfile import BlockFile
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.bootstrap.writing import open_service
from bal.config import load
from bal.core.address import Address
from bal.core.message import Message
from bal.core.source import Source
from bal.home import Home
from bal.normalise import parts
from bal.publish import jsonl
from bal.publish.jsonl import JsonLines
from bal.store.sqlite import SqliteQuarantine, SqliteStore, erasure
from tests.faults.letters import SOURCES, letters

POINTS: dict[str, tuple[Any, str]] = {
    "append_batch": (SqliteStore, "append_batch"),
    "quarantine": (SqliteQuarantine, "put"),
    "anchor": (EmbeddedLedger, "anchor"),
    "mark_anchored": (SqliteStore, "mark_anchored"),
    "publish": (JsonLines, "publish"),
    "mark_published": (SqliteStore, "mark_published"),
    "register_source": (EmbeddedLedger, "register_source"),
    "record_source": (SqliteStore, "record_source"),
    "copies": (JsonLines, "erase"),
    "rewrite": (jsonl, "_rewrite"),
    "copy": (jsonl, "_copy"),
    "erase": (SqliteStore, "erase"),
    "remove": (erasure, "remove"),
    "scrub": (erasure, "scrub"),
    "rebuild": (erasure, "_rebuild"),
    "empty_log": (erasure, "_empty_log"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, when: str, nth: int) -> None:
    """Let this process die at the `nth` call of `point`."""
    if when == "torn":
        _tear(point, nth)
        return
    owner, name = POINTS[point]
    original = getattr(owner, name)
    left = [nth]

    def due() -> bool:
        left[0] -= 1
        return not left[0]

    if inspect.iscoroutinefunction(original):

        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            now = due()
            if now and when == "before":
                _die()
            result = await original(*args, **kwargs)
            if now:
                _die()
            return result

        setattr(owner, name, wrapped)
        return

    def plain(*args: Any, **kwargs: Any) -> Any:
        now = due()
        if now and when == "before":
            _die()
        result = original(*args, **kwargs)
        if now:
            _die()
        return result

    setattr(owner, name, plain)


def _tear(point: str, nth: int) -> None:
    """Let half of the `nth` write to the ledger, or to a file of certificates, be the last this process does."""
    left = [nth]
    append, add = BlockFile.append, jsonl._append

    def half_block(self: BlockFile, line: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            os.write(self._file, line[: len(line) // 2])
            _die()
        append(self, line)

    def half_lines(path: Path, data: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            add(path, data[: len(data) * 2 // 3])
            _die()
        add(path, data)

    if point == "anchor":
        BlockFile.append = half_block  # type: ignore[method-assign]
    else:
        jsonl._append = half_lines


async def _send(opened: Any, receipts: Path, suffix: str = "", **members: Any) -> None:
    """Submit every letter at once; write down each receipt as it comes."""
    service, lane = opened.service, opened.settings.lanes[0]
    for name in (f"{source}{suffix}" for source in SOURCES):
        if service.source(name) is None:
            await service.register_source(Source(name=name, lane=lane, **members))
    file = os.open(receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def one(message: Message) -> None:
        receipt = await service.submit(message)
        os.write(file, json.dumps(receipt.to_json()).encode() + b"\n")

    async with asyncio.TaskGroup() as group:
        for message in letters(suffix):
            group.create_task(one(message))
            await asyncio.sleep(0.002)


async def _erase(opened: Any, address: str) -> None:
    await opened.service.erase(Address.parse(address), "operator", "asked for")


async def run(job: dict[str, Any]) -> None:
    """Do one job."""
    home = Home(Path(job["home"]))
    settings = load(home.create().path)
    lane = settings.lane.model_copy(update={"batch_leaves": 8, "batch_window_ms": 5, **job.get("lane", {})})
    settings = settings.model_copy(update={"lane": lane, "workers": 0})
    async with open_service(home, settings) as opened:
        await opened.service.start()
        if job["work"] == "send":
            await _send(opened, Path(job["receipts"]), **job.get("sources", {}))
        elif job["work"] == "erase":
            await _erase(opened, job["address"])
        await opened.service.close()


def _child(job: dict[str, Any]) -> int:
    parts.PART_OUTCOMES = 16
    if job.get("fsize"):  # a write past it fails with EFBIG, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["fsize"], job["fsize"]))
    if job.get("point"):
        arm(job["point"], job["when"], job["nth"])
    try:
        asyncio.run(run(job))
    except BaseException:  # noqa: BLE001 - this process ends here
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Fork a process for each job; -9 says that it died where it was to."""
    letters()
    act: Callable[[dict[str, Any]], int] = _child
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = act(json.loads(line))
            sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
