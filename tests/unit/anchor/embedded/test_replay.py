"""Signed lies: blocks in perfect form, by the operator's own key, that say other than the contract does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bal.anchor.embedded.block import MVCC_READ_CONFLICT, VALID, Block, Read, Transaction, Write
from bal.anchor.embedded.blockfile import BlockReader
from bal.anchor.embedded.chain import BLOCKS
from bal.core.errors import LedgerAltered
from tests.unit.anchor.embedded.home import KEY, PUBLIC, small_chain, verified


def rewrite(directory: Path, number: int, change: Callable[[Transaction], Transaction]) -> None:
    """Sign the whole chain anew with one transaction of block `number` changed."""
    previous = "0" * 64
    text = b""
    for block in BlockReader(directory / BLOCKS, PUBLIC):
        transactions = block.transactions
        if block.number == number:
            transactions = (change(transactions[0]), *transactions[1:])
        previous, line = Block(block.number, previous, block.time, transactions).seal(KEY)
        text += line
    (directory / BLOCKS).write_bytes(text)


def other_root(transaction: Transaction) -> Transaction:
    anchors = json.loads(transaction.args[0])
    anchors[0]["root"] = "ee" * 32
    return replace(transaction, args=(json.dumps(anchors),))


LIES: dict[str, Callable[[Transaction], Transaction]] = {
    "argument": other_root,
    "function": lambda each: replace(each, function="GetHead"),
    "refused by the contract": lambda each: replace(each, args=("[]",)),
    "organisation": lambda each: replace(each, organisation="MarketMSP"),
    "written value": lambda each: replace(
        each,
        writes=(
            Write(each.writes[0].key, each.writes[0].value.replace('"size":2', '"size":3')),
            *each.writes[1:],
        ),
    ),
    "written key": lambda each: replace(each, writes=(Write("anchor/bal-1/x", "{}"), *each.writes[1:])),
    "missing write": lambda each: replace(each, writes=each.writes[1:]),
    "further write": lambda each: replace(each, writes=(*each.writes, Write("source/dso-b", "{}"))),
    "read version": lambda each: replace(each, reads=(Read(each.reads[0].key, (0, 1)), *each.reads[1:])),
    "missing read": lambda each: replace(each, reads=each.reads[1:]),
    "result": lambda each: replace(each, result="00" * 32),
    "transaction id": lambda each: replace(each, tx_id="00" * 32),
    "time": lambda each: replace(each, time="2026-01-01T00:00:00.000000Z"),
    "validation code": lambda each: replace(each, code=MVCC_READ_CONFLICT),
}


@pytest.mark.parametrize("lie", sorted(LIES))
async def test_a_signed_lie_is_found_by_running_the_contract_again(tmp_path: Path, lie: str) -> None:
    done = await small_chain(tmp_path)
    rewrite(tmp_path, 3, lambda each: each)
    assert verified(tmp_path) == done
    rewrite(tmp_path, 3, LIES[lie])
    with pytest.raises(LedgerAltered) as found:
        verified(tmp_path)
    assert found.value.block == 3


async def test_a_registration_by_no_admin_is_found(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    rewrite(tmp_path, 1, lambda each: replace(each, roles=("client",)))
    with pytest.raises(LedgerAltered) as found:
        verified(tmp_path)
    assert found.value.block == 1


async def test_a_transaction_that_lost_its_turn_is_not_made_valid(tmp_path: Path) -> None:
    await small_chain(tmp_path)
    blocks = list(BlockReader(tmp_path / BLOCKS, PUBLIC))
    stale = blocks[3].transactions[0].coded(VALID)
    _, line = Block(6, last_hash(tmp_path), blocks[-1].time, (stale,)).seal(KEY)
    with (tmp_path / BLOCKS).open("ab") as file:
        file.write(line)
    with pytest.raises(LedgerAltered) as found:
        verified(tmp_path)
    assert found.value.block == 6


def last_hash(directory: Path) -> str:
    reader = BlockReader(directory / BLOCKS, PUBLIC)
    for _ in reader:
        pass
    return reader.tip.hash
