"""Old copies put back, whole or in part: the service refuses to write on them, the audit says what is wrong."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from bal.bootstrap.reading import audit_home
from bal.core.errors import BalError, LaneLost, LedgerAltered
from bal.home import Home
from bal.verify.heads import heads_text, read_heads
from bal.verify.report import Finding
from tests.attacks.test_erasure import document, ingest, opened
from tests.checks.books import check_audit, files
from tests.checks.processes import bal

FIRST: Final = range(10)
THEN: Final = range(10, 40)


async def send(home: Home, numbers: range, note: str = "") -> None:
    async with opened(home, batch_leaves=5) as one:
        await ingest(one, document(numbers, note=note))


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """Return a home with eight batches; beside it lies a copy, `old`, from when it had two."""
    made = Home(tmp_path / "home")
    await send(made, FIRST)
    shutil.copytree(made.path, tmp_path / "old")
    await send(made, THEN)
    return made


def old(home: Home) -> Home:
    return Home(home.path.with_name("old"))


def restore_scd(home: Home, source: Home) -> None:
    """Put the database of another home in its place, as a restored backup would be."""
    for path in home.path.glob("scd.sqlite*"):
        path.unlink()
    for path in source.path.glob("scd.sqlite*"):
        shutil.copy(path, home.path)


def restore_ledger(home: Home, source: Home) -> None:
    shutil.rmtree(home.ledger)
    shutil.copytree(source.ledger, home.ledger)


async def findings(home: Home, since: bytes | None = None) -> set[Finding]:
    report = await audit_home(home, None if since is None else read_heads(since))
    assert report.ok == (not report.findings)
    return set(report.findings)


def _written(home: Home) -> tuple[object, ...]:
    with sqlite3.connect(f"file:{home.scd}?mode=ro", uri=True) as scd:
        stored = [
            scd.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("batches", "readings", "receipts", "marks")
        ]
    scd.close()
    return stored, (home.ledger / "blocks.jsonl").read_bytes(), files(home.out)


async def refuses(home: Home, error: type[BalError], match: str, *, commands: bool = False) -> None:
    """Assert that nothing is written on this home: not by the service, not by `commands`, and both say why."""
    before = _written(home)
    with pytest.raises(error, match=match):
        await send(home, range(100, 103))
    if commands:
        _commands_refuse(home, error)
    assert _written(home) == before


def _commands_refuse(home: Home, error: type[BalError]) -> None:
    path = home.path.with_name("document.xml")
    path.write_bytes(document(range(200, 203)))
    command = bal(home.path, "ingest", str(path), "--source", "dso-a", "--json")
    assert command.returncode == error.exit_code
    assert b"Traceback" not in command.stderr
    problem = json.loads(command.stderr)
    assert problem["detail"]
    assert problem["remedy"]
    run = bal(home.path, "run", "--mqtt-port", "0", "--gateway-port", "0")
    assert run.returncode == error.exit_code
    assert b"Traceback" not in run.stderr
    assert problem["detail"].encode() in run.stderr


async def test_an_honest_home_has_no_findings(home: Home) -> None:
    heads = heads_text((await check_audit(home)).heads).encode()
    assert await findings(home, heads) == set()


async def test_the_whole_home_from_an_older_copy(home: Home) -> None:
    """Only who kept a head can tell: `bal audit --since` does."""
    heads = home.path.with_name("heads.json")
    assert bal(home.path, "audit", "--heads", str(heads)).returncode == 0
    shutil.rmtree(home.path)
    shutil.copytree(old(home).path, home.path)
    assert await findings(home) == set(), "a consistent older copy is consistent"
    assert await findings(home, heads.read_bytes()) == {Finding("ledger_cut", "bal-1:2")}
    command = bal(home.path, "audit", "--since", str(heads), "--json")
    assert command.returncode == 1
    assert json.loads(command.stdout)["findings"] == [{"kind": "ledger_cut", "address": "bal-1:2"}]
    await send(home, range(50, 80), note="another history")
    assert Finding("ledger_altered", "bal-1:7") in await findings(home, heads.read_bytes())


async def test_only_the_database_is_older(home: Home) -> None:
    restore_scd(home, old(home))
    await refuses(home, LaneLost, "ledger is ahead", commands=True)
    found = await findings(home)
    assert {Finding("batch_missing", f"bal-1:{seq}") for seq in range(2, 8)} <= found


async def test_only_the_ledger_is_older(home: Home) -> None:
    restore_ledger(home, old(home))
    await refuses(home, LedgerAltered, "lacks anchors", commands=True)
    assert Finding("ledger_cut", "bal-1:2") in await findings(home)


async def test_only_the_file_of_blocks_is_older(home: Home) -> None:
    """Keep the newer index of the state beside the older blocks."""
    shutil.copy(old(home).ledger / "blocks.jsonl", home.ledger / "blocks.jsonl")
    await refuses(home, LedgerAltered, ".")
    kinds = {finding.kind for finding in await findings(home)}
    assert kinds & {"ledger_cut", "ledger_altered"}


async def test_only_the_index_is_older(home: Home) -> None:
    """An index is made from the blocks: an older one is brought up to date, a lost or spoilt one made anew."""
    for path in home.ledger.glob("state.sqlite*"):
        path.unlink()
    for path in old(home).ledger.glob("state.sqlite*"):
        shutil.copy(path, home.ledger)
    await send(home, range(50, 55))
    for path in home.ledger.glob("state.sqlite*"):
        path.write_bytes(b"spoilt" * 1000)
    await send(home, range(55, 60))
    await check_audit(home)


def _change_root(blocks: bytes) -> bytes:
    place = blocks.rindex(b'root\\":\\"') + 9 if b'root\\":\\"' in blocks else blocks.rindex(b'"root":"') + 8
    return blocks[:place] + (b"0" if blocks[place : place + 1] != b"0" else b"1") + blocks[place + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        _change_root,
        lambda blocks: blocks[: len(blocks) // 2] + b"x" + blocks[len(blocks) // 2 + 1 :],
        lambda blocks: b"".join(
            [*blocks.splitlines(keepends=True)[:-3], *blocks.splitlines(keepends=True)[-2:]]
        ),
        lambda blocks: blocks + blocks.splitlines(keepends=True)[-1],
        lambda blocks: b"".join(reversed(blocks.splitlines(keepends=True))),
    ],
    ids=["root", "byte", "block left out", "block twice", "order"],
)
async def test_a_block_is_altered(home: Home, change: Callable[[bytes], bytes]) -> None:
    path = home.ledger / "blocks.jsonl"
    path.write_bytes(change(path.read_bytes()))
    assert "ledger_altered" in {finding.kind for finding in await findings(home)}
    for index in home.ledger.glob("state.sqlite*"):
        index.unlink()
    assert "ledger_altered" in {finding.kind for finding in await findings(home)}
    await refuses(home, LedgerAltered, ".")


async def test_two_ledgers_swapped(home: Home, tmp_path: Path) -> None:
    """Swap the ledgers of two operators: their keys differ."""
    other = Home(tmp_path / "other")
    await send(other, THEN)
    shutil.move(home.ledger, tmp_path / "ledger")
    shutil.move(other.ledger, home.ledger)
    shutil.move(tmp_path / "ledger", other.ledger)
    for one in (home, other):
        assert Finding("ledger_altered", "block:0") in await findings(one)
        await refuses(one, LedgerAltered, ".")


async def test_two_histories_of_one_operator_swapped(home: Home) -> None:
    """Swap the ledgers of two copies of one home that went on apart: same key, other anchors."""
    other = old(home)
    await send(other, range(60, 90), note="the other history")
    aside = home.path.with_name("ledger")
    shutil.move(home.ledger, aside)
    shutil.move(other.ledger, home.ledger)
    shutil.move(aside, other.ledger)
    for one in (home, other):
        found = await findings(one)
        assert {Finding("batch_altered", f"bal-1:{seq}") for seq in range(2, 8)} <= found
        assert not {finding for finding in found if finding.address in {"bal-1:0", "bal-1:1"}}
        await refuses(one, LedgerAltered, "another anchor")


async def test_the_database_of_another_history(home: Home) -> None:
    other = old(home)
    await send(other, range(60, 90), note="the other history")
    restore_scd(home, other)
    assert await findings(home)
    await refuses(home, LedgerAltered, "another anchor")
