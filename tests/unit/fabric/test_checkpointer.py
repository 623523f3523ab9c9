import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bal import fabric


async def test_nothing_is_noted_at_first(tmp_path: Path) -> None:
    for checkpointer in (fabric.Checkpointer(), fabric.FileCheckpointer(tmp_path / "c")):
        assert checkpointer.block_number is None
        assert checkpointer.transaction_id == ""


async def test_a_block_dealt_with_is_followed_by_the_next() -> None:
    checkpointer = fabric.Checkpointer()
    await checkpointer.checkpoint_transaction(4, "ab")
    assert (checkpointer.block_number, checkpointer.transaction_id) == (4, "ab")
    await checkpointer.checkpoint_block(4)
    assert (checkpointer.block_number, checkpointer.transaction_id) == (5, "")


async def test_a_file_is_read_again(tmp_path: Path) -> None:
    await fabric.FileCheckpointer(tmp_path / "c").checkpoint_transaction(4, "ab")
    again = fabric.FileCheckpointer(tmp_path / "c")
    assert (again.block_number, again.transaction_id) == (4, "ab")
    await again.checkpoint_block(4)
    assert json.loads((tmp_path / "c").read_bytes()) == {"block": 5, "transaction": ""}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b"\xff",
        b"[" * 9000,
        b'{"block": -1, "transaction": ""}',
        b'{"block": true, "transaction": ""}',
        b'{"block": "1", "transaction": ""}',
        b'{"block": 1, "transaction": null}',
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(fabric.CheckpointError):
        fabric.FileCheckpointer(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == content


async def test_what_can_not_be_written_is_not_noted(tmp_path: Path) -> None:
    checkpointer = fabric.FileCheckpointer(tmp_path / "missing" / "c")
    with pytest.raises(fabric.CheckpointError):
        await checkpointer.checkpoint_block(1)
    assert checkpointer.block_number is None


async def test_a_note_broken_off_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpointer = fabric.FileCheckpointer(tmp_path / "c")
    await checkpointer.checkpoint_block(1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(fabric.CheckpointError, match="No space"):
        await checkpointer.checkpoint_block(2)
    assert fabric.FileCheckpointer(tmp_path / "c").block_number == checkpointer.block_number == 2


async def test_notes_are_written_one_after_the_other(tmp_path: Path) -> None:
    checkpointer = fabric.FileCheckpointer(tmp_path / "c")
    await asyncio.gather(*(checkpointer.checkpoint_block(number) for number in range(30)))
    assert fabric.FileCheckpointer(tmp_path / "c").block_number == 30


async def test_the_file_is_synced_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        done.append("sync")
        sync(descriptor)

    def noted_rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    await fabric.FileCheckpointer(tmp_path / "c").checkpoint_block(1)
    assert done == ["sync", "rename", "sync"]


WRITER = """
import asyncio, sys
from bal.fabric.file_checkpointer import FileCheckpointer
async def main():
    checkpointer = FileCheckpointer(sys.argv[1])
    for number in range(1_000_000):
        await checkpointer.checkpoint_transaction(number, str(number) * 40)
        print(number, flush=True)
asyncio.run(main())
"""


def test_killed_at_any_moment_the_file_holds_a_whole_note(tmp_path: Path) -> None:
    path = tmp_path / "c"
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert writer.stdout is not None
        for _ in range(20):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])
        writer.wait()
        writer.stdout.close()
        found = fabric.FileCheckpointer(path)
        assert found.block_number in (last, last + 1)
        assert found.transaction_id == str(found.block_number) * 40
