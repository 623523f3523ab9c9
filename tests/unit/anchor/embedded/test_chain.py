"""The chain at work: group commit, faults of the disk, the index lost or wrong, processes killed."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bal.anchor.embedded.block import MVCC_READ_CONFLICT, VALID
from bal.anchor.embedded.blockfile import BlockFile, BlockReader
from bal.anchor.embedded.chain import BLOCKS, STATE
from bal.anchor.embedded.identity import REGULATOR
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.core.errors import HomeLocked, LedgerError, LedgerOutcomeUnknown, LedgerUnavailable
from bal.ports import Ledger
from tests.counts import counts
from tests.unit.anchor.embedded.home import PUBLIC, begin, chain, opened, small_chain, verified

ROOT = Path(__file__).parents[3]


async def test_the_adapter_fits_the_port(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        port: Ledger = ledger
        assert port.kind == "embedded"
        assert port.organisation == "EmbeddedMSP"
        assert ledger.as_identity(REGULATOR).organisation == "RegulatorMSP"


async def test_transactions_that_come_while_a_block_is_written_share_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
        held = threading.Event()
        append = BlockFile.append

        def slow(self: BlockFile, line: bytes) -> None:
            held.wait(30)
            append(self, line)

        monkeypatch.setattr(BlockFile, "append", slow)
        first = asyncio.create_task(ledger.register_log("log-0"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(ledger.register_log(f"log-{number}")) for number in range(1, 20)]
        for _ in range(5):
            await asyncio.sleep(0)
        # Not on disk, so not answered and not to be seen.
        assert not first.done()
        assert await ledger.logs() == ["bal-1"]
        held.set()
        await asyncio.gather(first, *others)
        assert ledger.height == 4
        assert len(await ledger.logs()) == 21
    blocks = list(BlockReader(tmp_path / BLOCKS, PUBLIC))
    assert [len(block.transactions) for block in blocks] == [1, 1, 1, 19]


async def test_a_transaction_overtaken_stands_in_its_block_and_does_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
        rivals = await asyncio.gather(
            *(ledger.anchor(chain(1, tag=tag)) for tag in "ab"), return_exceptions=True
        )
        assert [isinstance(outcome, list) for outcome in rivals] == [True, False]
    last = list(BlockReader(tmp_path / BLOCKS, PUBLIC))[-1]
    assert [transaction.code for transaction in last.transactions] == [VALID, MVCC_READ_CONFLICT]
    assert len(verified(tmp_path)) == 1


async def test_a_full_disk_is_told_and_nothing_half_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
        await ledger.anchor(chain(1))
        size = (tmp_path / BLOCKS).stat().st_size

        def full(descriptor: int, data: bytes) -> int:
            if len(data) > 100:
                return write(descriptor, data[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(LedgerUnavailable, match="No space left"):
                await ledger.anchor(chain(2))
        assert (tmp_path / BLOCKS).stat().st_size == size
        assert await ledger.find("bal-1", 1) is None
        assert len(await ledger.anchor(chain(2))) == 2
    assert len(verified(tmp_path)) == 2


async def test_a_failed_fsync_answers_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with opened(tmp_path) as ledger:
        await begin(ledger)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            patch.setattr(os, "fsync", broken)
            # Neither written for sure nor taken back for sure.
            with pytest.raises(LedgerOutcomeUnknown):
                await ledger.anchor(chain(1))
            with pytest.raises(LedgerUnavailable):
                await ledger.anchor(chain(1))
            assert await ledger.find("bal-1", 0) is None
        done = await ledger.anchor(chain(1))
    assert verified(tmp_path) == done


async def test_a_submitter_that_gives_up_does_not_stop_the_block(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
        task = asyncio.create_task(ledger.anchor(chain(2)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        done = await ledger.anchor(chain(2))
        assert [commitment.anchor for commitment in done] == chain(2)
    assert verified(tmp_path) == done


async def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
    for work in (ledger.head("bal-1"), ledger.anchor(chain(1)), ledger.logs()):
        with pytest.raises(LedgerUnavailable, match="closed"):
            await work
    await ledger.close()


def gone(home: Path, _: Path) -> None:
    for path in home.glob(STATE + "*"):
        path.unlink()


def older(home: Path, past: Path) -> None:
    gone(home, past)
    shutil.copy(past / STATE, home / STATE)


def nonsense(home: Path, past: Path) -> None:
    gone(home, past)
    (home / STATE).write_bytes(b"no database" * 1000)


def empty(home: Path, past: Path) -> None:
    gone(home, past)
    (home / STATE).write_bytes(b"")


def holes(home: Path, past: Path) -> None:
    gone(home, past)
    content = bytearray((past / STATE).read_bytes())
    for place in range(4096, len(content), 512):
        content[place : place + 64] = bytes(64)
    (home / STATE).write_bytes(content)


def edited(sql: str) -> Callable[[Path, Path], None]:
    def edit(home: Path, _: Path) -> None:
        database = sqlite3.connect(home / STATE)
        with database:
            database.execute(sql)
        database.close()

    edit.__name__ = sql.replace(" ", "-")
    return edit


@pytest.mark.parametrize(
    "damage",
    [
        gone,
        older,
        nonsense,
        empty,
        holes,
        edited("UPDATE tips SET hash = 'ab'"),
        edited("UPDATE tips SET height = height + 1"),
        edited("UPDATE tips SET offset = offset + 1"),
        edited("DELETE FROM tips WHERE age = 1"),
        edited("DELETE FROM tips"),
        edited("DROP TABLE state"),
        edited("UPDATE state SET value = replace(value, 'bal-1', 'bal-2')"),
        edited("UPDATE state SET block = 0"),
    ],
)
async def test_the_index_is_made_anew(tmp_path: Path, damage: Callable[[Path, Path], None]) -> None:
    home, past = tmp_path / "home", tmp_path / "past"
    done = await small_chain(past, anchors=2)
    shutil.copytree(past, home)
    async with opened(home, seed=2) as ledger:
        done += await ledger.anchor(chain(4)[2:])
    damage(home, past)
    async with opened(home, seed=3) as ledger:
        assert [each async for each in ledger.anchors("bal-1")] == done
        assert await ledger.head("bal-1") == done[-1]
        assert (await ledger.anchor(chain(5)))[:4] == done
        await ledger.verify()
    assert verified(home)[:4] == done


async def test_an_index_damaged_while_open_is_made_anew(tmp_path: Path) -> None:
    done = await small_chain(tmp_path)
    async with opened(tmp_path, seed=2) as ledger:
        edited("UPDATE state SET value = 'x'")(tmp_path, tmp_path)
        assert await ledger.find("bal-1", 2) == done[2]
        edited("UPDATE state SET value = 'x'")(tmp_path, tmp_path)
        assert len(await ledger.anchor(chain(5))) == 5


async def test_an_index_of_another_chain_is_not_used(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    done = await small_chain(home)
    async with opened(other, seed=5) as ledger:
        await begin(ledger)
        await ledger.anchor(chain(2, tag="z"))
    gone(home, other)
    shutil.copy(other / STATE, home / STATE)
    async with opened(home, seed=3) as ledger:
        assert [each async for each in ledger.anchors("bal-1")] == done


async def test_reading_beside_the_writer(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await begin(ledger)
        done = await ledger.anchor(chain(2))
        beside = await EmbeddedLedger.beside(tmp_path, PUBLIC)
        assert [each async for each in beside.anchors("bal-1")] == done
        done += await ledger.anchor(chain(4)[2:])
        assert [each async for each in beside.anchors("bal-1")] == done
        assert beside.height == ledger.height
        assert beside.tip == ledger.tip
        await beside.verify()
        with pytest.raises(HomeLocked):
            await beside.register_log("bal-2")
        await beside.close()
    gone(tmp_path, tmp_path)
    beside = await EmbeddedLedger.beside(tmp_path, PUBLIC)
    assert [each async for each in beside.anchors("bal-1")] == done
    assert not list(tmp_path.glob(STATE + "*"))
    await beside.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.unit.anchor.embedded.home import begin, chain, opened

async def write(home, seed):
    async with opened(home, seed) as ledger:
        await begin(ledger)
        head = await ledger.head("bal-1")
        anchors = chain(5000)
        step = head.anchor.seq + 1 if head else 0
        while True:
            for each in await ledger.anchor(anchors[step : step + 1 + step % 3]):
                print(each.anchor.seq, each.tx_id, flush=True)
                step = each.anchor.seq + 1

asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.hammer
def test_killed_at_random_moments_nothing_answered_is_lost(tmp_path: Path) -> None:
    chance = random.Random(7)
    answered: dict[int, str] = {}
    for kill in range(counts(60)):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(kill)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 40)):
            seq, tx_id = process.stdout.readline().split()
            answered[int(seq)] = tx_id
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                answered[int(line.split()[0])] = line.split()[1]
        process.wait()
        process.stdout.close()
        standing = {each.anchor.seq: each.tx_id for each in verified(tmp_path)}
        assert standing.items() >= answered.items()


def test_errors_hold_no_path(tmp_path: Path) -> None:
    BlockFile(tmp_path / BLOCKS)
    with pytest.raises(HomeLocked) as locked:
        BlockFile(tmp_path / BLOCKS)
    assert str(tmp_path) not in str(locked.value)
    assert not isinstance(locked.value, LedgerError)
