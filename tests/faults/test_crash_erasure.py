"""An erasure cut short at any step is finished by the next start; nothing of the reading is left then."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bal.bootstrap.reading import open_reader
from bal.core.address import Address
from bal.core.errors import Erased
from bal.core.reading import Reading
from bal.home import Home
from tests.checks.books import check_audit, published, rows
from tests.checks.share import share
from tests.checks.traces import raw_in_folder
from tests.faults.letters import LARGE
from tests.faults.test_crash_points import Crasher

ERASED = 5
"""Which of the published readings of the large document is erased."""
STEPS = [
    *((point, when) for point in ("append_batch", "anchor", "mark_anchored") for when in ("before", "after")),
    *((point, when) for point in ("publish", "mark_published") for when in ("before", "after")),
    *((point, when) for point in ("copies", "rewrite", "copy") for when in ("before", "after")),
    *((point, when) for point in ("erase", "remove", "scrub", "rebuild", "empty_log") for when in ("before", "after")),
]  # fmt: skip


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    one = Crasher()
    yield one
    one.close()


@pytest.fixture(scope="module")
def filled(crasher: Crasher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home that holds what the letters say."""
    folder = tmp_path_factory.mktemp("homes")
    assert crasher.run(folder / "filled", "send", receipts=str(folder / "receipts")) == 0
    return folder / "filled"


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Home:
    shutil.copytree(filled, tmp_path / "home")
    return Home(tmp_path / "home")


async def target_of(home: Home) -> tuple[Address, Reading, bytes]:
    """Return address, reading and salt of the reading to be erased."""
    line = [line for line in published(home) if line["entry"]["source"] == LARGE.source][ERASED]
    async with open_reader(home) as reader:
        stored = await reader.store.entry(Address.parse(line["address"]))
    assert isinstance(stored.entry, Reading)
    return stored.address, stored.entry, stored.salt


async def check_erased(home: Home, address: Address, salt: bytes) -> None:
    """Assert that nothing of it is left, and that an audit agrees."""
    assert raw_in_folder(home.path, salt) == []
    assert [line for line in published(home) if line["address"] == str(address)] == [
        {"address": str(address), "erased": True}
    ]
    async with open_reader(home) as reader:
        with pytest.raises(Erased):
            await reader.store.entry(address)
    await check_audit(home)
    leftovers = [path.name for path in home.out.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    assert not leftovers


@pytest.mark.parametrize(("point", "when"), share(STEPS, 3))
async def test_a_crash_between_two_steps_of_an_erasure(
    crasher: Crasher, home: Home, point: str, when: str
) -> None:
    address, _, salt = await target_of(home)
    before = len(await rows(home, LARGE.source, history=True))
    died = crasher.run(home.path, "erase", point=point, when=when, nth=1, address=str(address))
    if died != -9:
        assert (died, point) == (0, "rebuild"), "only the rebuilding is not always needed"
    # The note is durable once its batch is stored; an erasure cut short before that was never promised.
    promised = (point, when) != ("append_batch", "before")
    assert crasher.run(home.path, "open") == 0
    if not promised:
        assert crasher.run(home.path, "erase", address=str(address)) == 0
    await check_erased(home, address, salt)
    assert len(await rows(home, LARGE.source, history=True)) == before - 1
    assert crasher.run(home.path, "erase", address=str(address)) == 1, "it is gone already"
    await check_erased(home, address, salt)
