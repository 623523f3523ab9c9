"""Room is looked at for all servers together, that of memory when they are started."""

from pathlib import Path

import pytest

from bal.core.errors import Misconfigured
from bal.stack import room
from bal.stack.layout import Layout
from bal.stack.stack import Stack
from tests.unit.stack.fakes import Fake


def sized(name: str, *, disk: int = 1, memory: int = 1) -> Fake:
    fake = Fake(name)
    fake.disk, fake.memory = disk, memory
    return fake


def test_disk_and_memory_are_those_of_this_machine(tmp_path: Path) -> None:
    available = room.available_memory()
    assert available is not None
    assert available > 0
    assert room.free_disk(tmp_path / "not" / "yet" / "there") > 0
    assert room.disk([sized("one")], tmp_path) is None
    assert room.memory([sized("one")]) is None
    assert room.memory([]) is None


def test_what_each_finds_room_for_alone_all_together_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "available_memory", lambda: 1600)
    monkeypatch.setattr(room, "free_disk", lambda _path: 1600)
    one, two = sized("one", disk=1500, memory=1500), sized("two", disk=400, memory=600)
    for each in (one, two):
        assert room.disk([each], tmp_path) is None
        assert room.memory([each]) is None
    lacks = room.disk([one, two], tmp_path)
    assert lacks is not None
    assert (lacks.what, lacks.found) == ("1900 MiB of disk for one, two", "1600 MiB free")
    lacks = room.memory([one, two])
    assert lacks is not None
    assert (lacks.what, lacks.found) == ("2100 MiB of memory for one, two", "1600 MiB available")


def test_nothing_is_downloaded_without_the_disk_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "free_disk", lambda _path: 1600)
    monkeypatch.setattr(room, "available_memory", lambda: 0)  # what runs elsewhere may end before `up`
    layout = Layout(tmp_path / "stack", tmp_path / "cache")
    one, two = sized("one", disk=1500), sized("two", disk=400)
    with pytest.raises(Misconfigured, match="1900 MiB of disk for one, two"):
        Stack(layout, [one, two]).install(print)
    assert one.installs == two.installs == 0
    Stack(layout, [one]).install(print)
    Stack(layout, [one, two]).install(print)  # what is there needs no room any more
    assert (one.installs, two.installs) == (1, 1)


def test_up_tells_of_memory_for_what_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory", lambda: 1600)
    stack = Stack(
        Layout(tmp_path / "stack", tmp_path / "cache"), [sized("one", memory=1500), sized("two", memory=600)]
    )
    only = Stack(stack.layout, stack.servers[:1])
    stack.install(print)
    try:
        for started, warned in ((only, False), (stack, False), (stack, False)):
            told: list[str] = []
            started.up(told.append)
            assert any("MiB of memory" in line for line in told) is warned, told
        stack.down(print)
        told = []
        stack.up(told.append)
        (line,) = [line for line in told if "memory" in line]
        assert line.startswith(
            "2100 MiB of memory for one, two wanted, 1600 MiB available: servers may be slow"
        )
    finally:
        stack.down(print)
