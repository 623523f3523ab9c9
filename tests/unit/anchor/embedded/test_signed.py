"""An anchor is what a signed block says, whatever the index says."""

import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.embedded.signed import SignedAnchors
from bal.core.errors import LedgerAltered
from bal.system import SystemClock, SystemRandom
from chaincode.anchor import GENESIS, Anchor


def anchor(seq: int, previous: str) -> Anchor:
    time = "2026-01-01T00:00:00.000000Z"
    return Anchor("bal-1", seq, "ab" * 32, 1, previous, time, time, {"dso-a": 1}, {"dso-a": "cd" * 32})


@pytest.fixture
async def ledger(tmp_path: Path) -> tuple[Path, Ed25519PrivateKey]:
    key = Ed25519PrivateKey.generate()
    opened = await EmbeddedLedger.open(tmp_path, key, SystemClock(), SystemRandom())
    await opened.register_log("bal-1")
    await opened.register_source("dso-a")
    first = anchor(0, GENESIS)
    await opened.anchor([first])
    await opened.anchor([anchor(1, first.hash)])
    await opened.close()
    return tmp_path, key


async def test_finds_what_blocks_say(ledger: tuple[Path, Ed25519PrivateKey]) -> None:
    directory, key = ledger
    beside = await EmbeddedLedger.beside(directory, key.public_key())
    signed = SignedAnchors(beside, key.public_key())
    found = await signed.find("bal-1", 1)
    assert found is not None
    assert found == await beside.find("bal-1", 1)
    assert await signed.find("bal-1", 2) is None
    await beside.close()


async def test_a_forged_index_is_not_believed(ledger: tuple[Path, Ed25519PrivateKey]) -> None:
    directory, key = ledger
    beside = await EmbeddedLedger.beside(directory, key.public_key())
    found = await beside.find("bal-1", 1)
    assert found is not None
    await beside.close()
    from bal.anchor.embedded.state import _digest

    with sqlite3.connect(directory / "state.sqlite") as index:
        (value, block, place) = index.execute(
            "SELECT value, block, place FROM state WHERE key LIKE 'anchor/bal-1/%1'"
        ).fetchone()
        forged = value.replace(b"ab" * 32, b"ba" * 32)
        index.execute(
            "UPDATE state SET value = ?, digest = ? WHERE key LIKE 'anchor/bal-1/%1'",
            (forged, _digest("anchor/bal-1/" + "1".zfill(20), forged, block, place)),
        )
    index.close()
    beside = await EmbeddedLedger.beside(directory, key.public_key())
    lied = await beside.find("bal-1", 1)
    assert lied is not None
    assert lied.anchor.root == "ba" * 32
    signed = SignedAnchors(beside, key.public_key())
    assert await signed.find("bal-1", 1) == found
    await beside.close()


async def test_another_operators_block_is_refused(ledger: tuple[Path, Ed25519PrivateKey]) -> None:
    directory, key = ledger
    beside = await EmbeddedLedger.beside(directory, key.public_key())
    signed = SignedAnchors(beside, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(LedgerAltered, match="signature"):
        await signed.find("bal-1", 0)
    await beside.close()
