"""The block file: cut anywhere it opens, changed anywhere it is found out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bal.anchor.embedded.chain import BLOCKS, STATE
from bal.core.errors import HomeLocked, LedgerAltered
from tests.counts import counts
from tests.unit.anchor.embedded.home import KEY, PUBLIC, chain, opened, small_chain, verified


def lines(directory: Path) -> list[bytes]:
    return (directory / BLOCKS).read_bytes().splitlines(keepends=True)


def altered_block(directory: Path) -> int:
    with pytest.raises(LedgerAltered) as found:
        verified(directory)
    return found.value.block


async def test_the_verified_chain_is_what_was_answered(tmp_path: Path) -> None:
    done = await small_chain(tmp_path)
    assert verified(tmp_path) == done
    assert len(done) == 4
    assert len(lines(tmp_path)) == 6


async def test_cut_at_every_byte_of_the_last_two_blocks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = await small_chain(home)
    content = (home / BLOCKS).read_bytes()
    last = lines(home)
    start = len(content) - len(last[-1]) - len(last[-2])
    step = max(1, 40 // counts(40))
    cuts = {
        *range(start, len(content) + 1, step),
        start,
        start + len(last[-2]) - 1,
        start + len(last[-2]),
        len(content) - 1,
    }
    for end in sorted(cuts):
        copy = tmp_path / "copy"
        shutil.copytree(home, copy)
        (copy / BLOCKS).write_bytes(content[:end])
        whole = 2 + (end >= start + len(last[-2])) + (end == len(content))
        assert verified(copy) == done[:whole]
        async with opened(copy, seed=end) as ledger:
            assert (copy / BLOCKS).read_bytes() == b"".join(last[: 2 + whole])
            assert [each async for each in ledger.anchors("bal-1")] == done[:whole]
            again = await ledger.anchor(chain(4))
            assert again[:whole] == done[:whole]
        assert verified(copy) == again
        shutil.rmtree(copy)


async def test_every_changed_bit_is_found_and_its_block_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await small_chain(home, anchors=1)
    content = (home / BLOCKS).read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    place = 0
    for number, line in enumerate(lines(home)):
        for offset in range(len(line)):
            changed = bytearray(content)
            changed[place + offset] ^= 1 << (offset + number) % 8
            (copy / BLOCKS).write_bytes(changed)
            assert altered_block(copy) == number
        place += len(line)


async def test_removed_doubled_and_swapped_blocks_are_found(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    whole = lines(tmp_path)
    for number in range(len(whole) - 1):
        for changed in (
            whole[:number] + whole[number + 1 :],
            [*whole[:number], whole[number + 1], whole[number], *whole[number + 2 :]],
            [*whole[:number], b"\n", *whole[number:]],
            [*whole[:number], b" " + whole[number], *whole[number + 1 :]],
        ):
            (tmp_path / BLOCKS).write_bytes(b"".join(changed))
            assert altered_block(tmp_path) == number
        (tmp_path / BLOCKS).write_bytes(b"".join([*whole[: number + 1], *whole[number:]]))
        assert altered_block(tmp_path) == number + 1
    (tmp_path / BLOCKS).write_bytes(b"".join(whole) + b"x" * 10 + b"\n")
    assert altered_block(tmp_path) == len(whole)


async def test_another_operators_blocks_are_found(tmp_path: Path) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    async with opened(tmp_path, key=other) as ledger:
        await ledger.register_log("bal-1")
    assert altered_block(tmp_path) == 0
    with pytest.raises(LedgerAltered):
        async with opened(tmp_path):
            pass


async def test_an_altered_file_does_not_open_once_the_index_is_gone(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    whole = lines(tmp_path)
    whole[2] = whole[2].replace(b"VALID", b"INVAL", 1)
    (tmp_path / BLOCKS).write_bytes(b"".join(whole))
    async with opened(tmp_path) as ledger:
        with pytest.raises(LedgerAltered) as found:
            await ledger.verify()
        assert found.value.block == 2
    for path in tmp_path.glob(STATE + "*"):
        path.unlink()
    with pytest.raises(LedgerAltered) as found:
        async with opened(tmp_path):
            pass
    assert found.value.block == 2


async def test_a_removed_file_is_an_empty_chain(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    (tmp_path / BLOCKS).unlink()
    assert verified(tmp_path) == []
    async with opened(tmp_path) as ledger:
        assert ledger.height == 0
        assert ledger.tip == "0" * 64
        assert await ledger.head("bal-1") is None


async def test_a_file_shortened_under_a_running_ledger_is_found(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    async with opened(tmp_path) as ledger:
        (tmp_path / BLOCKS).write_bytes(b"".join(lines(tmp_path)[:-1]))
        with pytest.raises(LedgerAltered) as found:
            await ledger.verify()
        assert found.value.block == 5


async def test_one_process_writes(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(HomeLocked):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path):
        pass


async def test_the_file_is_the_owners_alone_and_holds_no_key(tmp_path: Path) -> None:
    await small_chain(tmp_path / "ledger")
    assert (tmp_path / "ledger" / BLOCKS).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o700
    secret = KEY.private_bytes_raw()
    for path in (tmp_path / "ledger").iterdir():
        assert secret not in path.read_bytes()
        assert secret.hex().encode() not in path.read_bytes()
    assert KEY.public_key() == PUBLIC
