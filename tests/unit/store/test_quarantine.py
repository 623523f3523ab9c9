"""The quarantine: encrypted, said once, opened by its key alone."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from bal.core.errors import Invalid, NotFound, StoreFailed
from bal.core.message import Message, Rejection
from bal.store.sqlite import SqliteQuarantine

KEY = bytes(range(32))
SECRET = b"<meter>IT001E12345678</meter>"
BAD = Rejection("the value is not a decimal number", "MeterReading[2]/value", SECRET, "value")


@pytest.fixture
async def quarantine(tmp_path: Path) -> AsyncIterator[SqliteQuarantine]:
    opened = SqliteQuarantine(tmp_path / "quarantine.sqlite", KEY)
    yield opened
    await opened.close()


async def test_what_was_refused_is_listed_without_bytes_and_opened_with_them(
    quarantine: SqliteQuarantine, tmp_path: Path
) -> None:
    await quarantine.put("dso-a", b"d" * 32, [(3, BAD), (5, BAD._replace(code="rule"))], 17)
    await quarantine.put("dso-b", b"e" * 32, [(-1, BAD._replace(fragment=b""))], 18)
    every = await quarantine.refusals(None)
    assert [(each.source, each.ordinal, each.code, each.fragment) for each in every] == [
        ("dso-a", 3, "value", None),
        ("dso-a", 5, "rule", None),
        ("dso-b", -1, "value", None),
    ]
    assert every[0].digest == b"d" * 32
    assert (every[0].reason, every[0].where, every[0].quarantined_at) == (BAD.reason, BAD.where, 17)
    assert await quarantine.refusals("dso-b") == every[2:]
    assert await quarantine.refusals(None, after=every[0].id, limit=1) == every[1:2]
    assert (await quarantine.open(every[0].id)).fragment == SECRET
    assert (await quarantine.open(every[2].id)).fragment == b""
    with pytest.raises(NotFound):
        await quarantine.open(99)


def whole(body: bytes | Callable[[], BinaryIO]) -> Message:
    return Message("dso-a", "cim", body, b"d" * 32)


REFUSED = Rejection("this is no XML document", "message", b"not looked at", "unreadable")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("size", "kept"), [(0, 0), (9, 9), (1 << 20, 1 << 20), ((1 << 20) + 1, 1 << 20)])
async def test_a_message_refused_as_a_whole_is_kept_as_far_as_there_is_room(
    quarantine: SqliteQuarantine, monkeypatch: pytest.MonkeyPatch, streamed: bool, size: int, kept: int
) -> None:
    monkeypatch.setattr("bal.store.sqlite.quarantine.QUARANTINED_MESSAGE_BYTES", 1 << 20)
    text = (SECRET * (size // len(SECRET) + 1))[:size]
    opened: list[BytesIO] = []

    def body() -> BytesIO:
        opened.append(BytesIO(text))
        return opened[-1]

    for _ in range(2):
        await quarantine.put_message(whole(body if streamed else text), REFUSED, 17)
    (listed,) = await quarantine.refusals(None)
    assert (listed.ordinal, listed.where, listed.code) == (-1, "message", "unreadable")
    said = "this is no XML document" + ("; its first 1 MiB are kept" if size > kept else "")
    assert listed.reason == said
    assert (await quarantine.open(listed.id)).fragment == text[:kept]
    assert [file.closed for file in opened] == [True, True] * streamed


async def test_a_message_whose_bytes_are_gone_is_refused_all_the_same(quarantine: SqliteQuarantine) -> None:
    def gone() -> BinaryIO:
        raise FileNotFoundError("/var/spool/dso-a")

    await quarantine.put_message(whole(gone), REFUSED, 17)
    (listed,) = await quarantine.refusals("dso-a")
    assert listed.reason == "this is no XML document; its bytes could not be read again"
    assert (await quarantine.open(listed.id)).fragment == b""


async def test_the_same_message_again_adds_nothing(quarantine: SqliteQuarantine) -> None:
    for now in (1, 2):
        await quarantine.put("dso-a", b"d" * 32, [(3, BAD), (4, BAD)], now)
    await quarantine.put("dso-a", b"d" * 32, [(4, BAD), (5, BAD)], 3)
    await quarantine.put("dso-a", b"d" * 32, [], 4)
    assert [(each.ordinal, each.quarantined_at) for each in await quarantine.refusals(None)] == [
        (3, 1),
        (4, 1),
        (5, 3),
    ]


async def test_its_bytes_are_in_no_file_as_they_were(quarantine: SqliteQuarantine, tmp_path: Path) -> None:
    await quarantine.put("dso-a", b"d" * 32, [(0, BAD)], 1)
    for path in tmp_path.iterdir():
        assert SECRET not in path.read_bytes()
        assert b"IT001E12345678" not in path.read_bytes()
    assert (tmp_path / "quarantine.sqlite").stat().st_mode & 0o777 == 0o600


async def test_another_key_opens_nothing(quarantine: SqliteQuarantine, tmp_path: Path) -> None:
    await quarantine.put("dso-a", b"d" * 32, [(0, BAD)], 1)
    stranger = SqliteQuarantine(tmp_path / "quarantine.sqlite", bytes(32), read_only=True)
    try:
        (one,) = await stranger.refusals(None)
        with pytest.raises(Invalid):
            await stranger.open(one.id)
    finally:
        await stranger.close()


@pytest.mark.parametrize(
    "change",
    [
        "sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)",
        "sealed = x''",
        "sealed = 'text'",
        "ordinal = 7",
        "source = 'dso-b'",
        "digest = x'00'",
        "digest = 'text'",
    ],
)
async def test_an_altered_entry_is_found_out(
    quarantine: SqliteQuarantine, tmp_path: Path, change: str
) -> None:
    await quarantine.put("dso-a", b"d" * 32, [(0, BAD)], 1)
    with closing(sqlite3.connect(tmp_path / "quarantine.sqlite")) as db:
        db.execute(f"UPDATE quarantine SET {change}")
        db.commit()
    (one,) = await quarantine.refusals(None)
    with pytest.raises(Invalid):
        await quarantine.open(one.id)


async def test_nothing_is_kept_after_closing(quarantine: SqliteQuarantine) -> None:
    await quarantine.close()
    with pytest.raises(StoreFailed):
        await quarantine.refusals(None)


async def test_reports_are_numbered_within_their_message_however_they_are_paged(
    quarantine: SqliteQuarantine,
) -> None:
    first, second = b"d" * 32, b"e" * 32
    await quarantine.put("dso-a", first, [(0, BAD), (4, BAD)], 1)
    await quarantine.put("dso-a", second, [(-1, BAD)], 2)
    await quarantine.put("dso-b", first, [(0, BAD)], 3)
    await quarantine.put("dso-a", first, [(2, BAD)], 4)
    whole = await quarantine.reports(0, 100)
    assert [(each.refused.id, each.number) for each in whole] == [(1, 1), (2, 2), (3, 1), (4, 1), (5, 3)]
    assert [each.refused for each in whole] == await quarantine.refusals(None)
    paged = [each for after in range(5) for each in await quarantine.reports(after, 1)]
    assert paged == whole
    assert [each.refused.to_json()["kind"] for each in whole] == [
        "reading",
        "reading",
        "message",
        "reading",
        "reading",
    ]


async def test_the_mark_of_reports_and_their_readers_outlive_the_process(
    quarantine: SqliteQuarantine, tmp_path: Path
) -> None:
    assert (await quarantine.reported(), await quarantine.newest()) == (0, 0)
    await quarantine.put("dso-a", b"d" * 32, [(0, BAD), (1, BAD)], 1)
    for mark in (1, 2):
        await quarantine.mark_reported(mark)
    await quarantine.let_read("desk")
    await quarantine.close()
    again = SqliteQuarantine(tmp_path / "quarantine.sqlite", KEY, read_only=True)
    assert (await again.reported(), await again.newest(), await again.readers()) == (2, 2, ["desk"])
    await again.close()
