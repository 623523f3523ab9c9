"""A disk that takes no more: a clear error, no lost answer, and everything goes on once there is room."""

import asyncio
import json
import random
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from bal.anchor.embedded.chain import BLOCKS
from bal.home import Home
from bal.keys import Keys
from bal.simulate.checker import Sent
from tests.attacks.test_erasure import document
from tests.checks.books import check_audit, check_books, rows
from tests.checks.processes import BAL, bal
from tests.checks.share import share
from tests.counts import counts
from tests.faults.letters import LARGE, SMALL, SMALL_COUNT
from tests.faults.test_crash_points import Crasher, answered, crasher, empty, home
from tests.patience import PATIENCE

__all__ = ["crasher", "empty", "home"]
KILOBYTE = 1024


def limited(home: Path, limit: int, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command for whom no file can grow past `limit` bytes: a write beyond fails as on a full disk (EFBIG)."""
    return subprocess.run(
        [*BAL, *arguments, "--home", str(home)],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


@pytest.mark.parametrize("limit", share([4, 30, 60, 100, 150, 240, 300], 3))
def test_a_command_says_so_and_works_once_there_is_room(tmp_path: Path, limit: int) -> None:
    place, path = tmp_path / "home", tmp_path / "document.xml"
    path.write_bytes(document(range(400)))
    full = limited(
        place, limit * KILOBYTE, "ingest", str(path), "--source", "dso-a", "--create-source", "--json"
    )
    assert b"Traceback" not in full.stderr, full.stderr.decode()
    if full.returncode:
        assert full.returncode == 2, full.stderr
        problem = json.loads(full.stderr.splitlines()[-1])
        assert problem["detail"]
        assert problem["remedy"]
    first = json.loads(full.stdout)["accepted"] if full.stdout else 0
    done = bal(place, "ingest", str(path), "--source", "dso-a", "--create-source", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["accepted"] + answer["duplicates"] == 400
    assert answer["accepted"] in {0, 400} or not first
    history = asyncio.run(rows(Home(place), "dso-a", history=True))
    assert len(history) == 400
    assert asyncio.run(check_audit(Home(place))).readings == 400


@pytest.mark.parametrize("limit", share([*range(20, 320, 20)], 5))
async def test_what_had_a_receipt_is_there_once_there_is_room(
    crasher: Crasher, home: Home, tmp_path: Path, limit: int
) -> None:
    receipts = tmp_path / "receipts"
    crasher.run(home.path, "send", receipts=str(receipts), fsize=limit * KILOBYTE)
    before = answered(receipts)
    assert crasher.run(home.path, "send", receipts=str(receipts)) == 0
    after = answered(receipts)
    for digest, receipt in before.items():
        assert after[digest]["ranges"] == receipt["ranges"]
        assert after[digest]["accepted"] == 0
    key = Keys.open(home.keys).pseudonyms[0]
    await check_books(home, [Sent(LARGE, range(1)), Sent(SMALL, range(SMALL_COUNT))], key=key)


async def test_the_last_block_cut_anywhere_with_the_database_ahead(
    crasher: Crasher, home: Home, tmp_path: Path
) -> None:
    """Cut the last block, whose anchors the database has not marked: they are anchored again, nothing is written twice."""
    receipts = tmp_path / "receipts"
    died = crasher.run(home.path, "send", point="mark_anchored", when="before", nth=2, receipts=str(receipts))
    assert died == -9
    blocks = home.ledger / BLOCKS
    content = blocks.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    assert b"Anchor" in content[last:]
    chance = random.Random(7)
    places = {
        0,
        1,
        len(content) - last - 1,
        *(chance.randrange(len(content) - last) for _ in range(counts(60))),
    }
    key = Keys.open(home.keys).pseudonyms[0]
    for number, place in enumerate(sorted(places)):
        cut = Home(tmp_path / f"cut-{number}")
        shutil.copytree(home.path, cut.path)
        (cut.ledger / BLOCKS).write_bytes(content[: last + place])
        assert crasher.run(cut.path, "send", receipts=str(tmp_path / f"receipts-{number}")) == 0, place
        await check_books(cut, [Sent(LARGE, range(1)), Sent(SMALL, range(SMALL_COUNT))], key=key)
