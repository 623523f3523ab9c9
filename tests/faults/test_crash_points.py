"""A crash between any two steps of the write order loses nothing that was answered and writes nothing twice."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bal.bootstrap.reading import open_quarantine
from bal.home import Home
from bal.keys import Keys
from bal.simulate.checker import Sent
from tests.checks.books import check_books, rows
from tests.checks.share import share
from tests.faults.letters import LARGE, MIXED, SMALL, SMALL_COUNT, letters


class Crasher:
    """The process that forks those that die."""

    def __init__(self, module: str = "tests.faults.crash") -> None:
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            text=True,
        )

    def run(self, home: Path, work: str, **job: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"home": str(home), "work": work, **job}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    one = Crasher()
    yield one
    one.close()


@pytest.fixture(scope="module")
def empty(crasher: Crasher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that was opened once: its keys are made."""
    home = tmp_path_factory.mktemp("homes") / "empty"
    assert crasher.run(home, "open") == 0
    return home


@pytest.fixture
def home(empty: Path, tmp_path: Path) -> Home:
    shutil.copytree(empty, tmp_path / "home")
    return Home(tmp_path / "home")


def answered(receipts: Path) -> dict[str, dict[str, Any]]:
    """Return the receipts that were written down, by digest; the last of each."""
    lines = receipts.read_text().splitlines() if receipts.exists() else []
    return {line["digest"]: line for line in map(json.loads, lines)}


SENDING = [
    *((point, when, nth) for point in ("append_batch", "mark_anchored", "anchor") for when in ("before", "after") for nth in (1, 2, 4)),
    *((point, when, nth) for point in ("publish", "mark_published") for when in ("before", "after") for nth in (1, 3)),
    *(("quarantine", when, 1) for when in ("before", "after")),
    *((point, when, 2) for point in ("register_source", "record_source") for when in ("before", "after")),
    *((point, "torn", nth) for point in ("anchor", "publish") for nth in (1, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("point", "when", "nth"), share(SENDING, 3))
async def test_a_crash_between_two_steps(
    crasher: Crasher, home: Home, tmp_path: Path, point: str, when: str, nth: int
) -> None:
    receipts = tmp_path / "receipts"
    if (point, when) == ("anchor", "torn"):
        nth += 7  # the first blocks register the sources
    died = crasher.run(home.path, "send", point=point, when=when, nth=nth, receipts=str(receipts))
    assert died == -9, "the point was reached"
    before = answered(receipts)
    assert crasher.run(home.path, "send", receipts=str(receipts)) == 0, "the sender sends everything again"
    after = answered(receipts)
    assert after.keys() == {message.digest.hex() for message in letters()}
    for digest, receipt in before.items():
        assert after[digest]["ranges"] == receipt["ranges"], "what had a receipt stands where it said"
        assert after[digest]["accepted"] == 0
        assert after[digest]["duplicates"] == receipt["duplicates"] + receipt["accepted"]
    key = Keys.open(home.keys).pseudonyms[0]
    count = await check_books(home, [Sent(LARGE, range(1)), Sent(SMALL, range(SMALL_COUNT))], key=key)
    mixed = await rows(home, MIXED, history=True)
    assert [row["value"] for row in mixed] == ["13", "11"]
    assert count > 8 * 4, "the large document went over several batches"
    async with open_quarantine(home) as quarantine:
        assert len(await quarantine.refusals(MIXED)) == 1
