import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bal.core.address import Address
from bal.core.entry import Entry
from bal.core.errors import PublishRefused, Unavailable
from bal.publish import JsonLines
from tests.certified import certified, erasure, reading, readings_of

A = frozenset({"dso-a"})
DAY = "2023-11-14"


def lines(path: Path) -> list[str]:
    text = path.read_text()
    assert text.endswith("\n")
    return text.splitlines()


async def test_a_line_is_the_certificate_as_it_stands_elsewhere(tmp_path: Path) -> None:
    batch = readings_of(0)
    await JsonLines(tmp_path).publish(batch, A)
    path = tmp_path / "dso-a" / f"{DAY}.jsonl"
    assert lines(path) == [batch.certificate(index) for index in (0, 2, 4)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_the_day_is_the_ledgers(tmp_path: Path) -> None:
    output = JsonLines(tmp_path)
    await output.publish(readings_of(0, time="2023-11-14T23:59:59.999999Z"), A)
    await output.publish(readings_of(1, time="2023-11-15T00:00:00.000000Z"), A)
    assert sorted(path.name for path in (tmp_path / "dso-a").iterdir()) == [
        "2023-11-14.jsonl",
        "2023-11-15.jsonl",
    ]


async def test_a_large_file_is_followed_by_a_part_and_again_nothing_doubles(tmp_path: Path) -> None:
    for seq in range(4):
        await JsonLines(tmp_path, file_bytes=3_000).publish(readings_of(seq), A)
        await JsonLines(tmp_path, file_bytes=3_000).publish(readings_of(seq), A)
    parts = [tmp_path / "dso-a" / f"{DAY}{part}.jsonl" for part in ("", ".1", ".2", ".3")]
    found = [json.loads(line)["address"] for part in parts for line in lines(part)]
    assert found == [f"log-1:{seq}:{index}" for seq in range(4) for index in (0, 2, 4)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(cut=st.integers(min_value=0))
async def test_cut_off_at_any_byte_it_ends_complete(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("out")
    await JsonLines(tmp_path).publish(readings_of(0), A)
    path = tmp_path / "dso-a" / f"{DAY}.jsonl"
    kept = path.stat().st_size
    await JsonLines(tmp_path).publish(readings_of(1), A)
    whole = path.read_bytes()
    os.truncate(path, kept + cut % (len(whole) - kept + 1))
    await JsonLines(tmp_path).publish(readings_of(1), A)
    assert path.read_bytes() == whole


async def test_a_write_that_fails_is_tried_again_from_where_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = JsonLines(tmp_path)
    await output.publish(readings_of(0), A)
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) > 700:
            return write(descriptor, data[:700])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(Unavailable, match="No space left"):
        await output.publish(readings_of(1), A)
    monkeypatch.undo()
    await output.publish(readings_of(1), A)
    found = [json.loads(line)["address"] for line in lines(tmp_path / "dso-a" / f"{DAY}.jsonl")]
    assert found == [f"log-1:{seq}:{index}" for seq in range(2) for index in (0, 2, 4)]


async def test_a_new_log_of_the_lane_goes_on_in_the_same_file(tmp_path: Path) -> None:
    await JsonLines(tmp_path).publish(readings_of(7), A)
    await JsonLines(tmp_path).publish(readings_of(0, log="log-2"), A)
    found = [json.loads(line)["address"] for line in lines(tmp_path / "dso-a" / f"{DAY}.jsonl")]
    assert found[-1] == "log-2:0:4"
    assert len(found) == 6


async def test_what_stands_there_is_found_whatever_log_the_end_is_of(tmp_path: Path) -> None:
    batches = [readings_of(7), readings_of(8), readings_of(0, log="log-2"), readings_of(1, log="log-2")]
    output = JsonLines(tmp_path, file_bytes=9_000)
    for batch in batches:
        await output.publish(batch, A)
    await output.erase(Address("log-1", 8, 4))
    before = {path.name: path.read_bytes() for path in (tmp_path / "dso-a").iterdir()}
    assert len(before) > 1
    for again in (output, JsonLines(tmp_path, file_bytes=9_000)):
        for batch in batches:
            await again.publish(batch, A)
        assert {path.name: path.read_bytes() for path in (tmp_path / "dso-a").iterdir()} == before


async def test_a_file_that_was_moved_away_is_written_anew(tmp_path: Path) -> None:
    output = JsonLines(tmp_path)
    batches = [readings_of(seq) for seq in range(3)]
    for batch in batches:
        await output.publish(batch, A)
    path = tmp_path / "dso-a" / f"{DAY}.jsonl"
    before = path.read_bytes()
    path.rename(tmp_path / "elsewhere")
    for batch in batches:
        await output.publish(batch, A)
    assert path.read_bytes() == before


async def test_an_erased_reading_is_gone_from_every_file(tmp_path: Path) -> None:
    output = JsonLines(tmp_path, file_bytes=1)
    note: list[Entry] = [erasure("log-1:0:2"), reading(100)]
    batches = [readings_of(0), certified(note, 1)]
    for batch in batches:
        await output.publish(batch, A)
    assert await output.erase(Address("log-1", 0, 2)) == 1
    assert await output.erase(Address("log-1", 0, 2)) == 0
    assert await output.erase(Address("log-1", 0, 1)) == 0
    first, second = (lines(tmp_path / "dso-a" / name) for name in (f"{DAY}.jsonl", f"{DAY}.1.jsonl"))
    kept = [batches[0].certificate(index) for index in (0, 4)]
    assert first == [kept[0], '{"address":"log-1:0:2","erased":true}', kept[1]]
    assert second == [batches[1].certificate(0), batches[1].certificate(1)]
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert batches[0].salts[2].hex().encode() not in everything
    assert not list(tmp_path.rglob(".*"))


async def test_an_erased_last_line_is_still_the_end(tmp_path: Path) -> None:
    output = JsonLines(tmp_path)
    await output.publish(readings_of(0), A)
    await output.erase(Address("log-1", 0, 4))
    await JsonLines(tmp_path).publish(readings_of(0), A)
    await output.publish(readings_of(1), A)
    assert len(lines(tmp_path / "dso-a" / f"{DAY}.jsonl")) == 6


@pytest.mark.parametrize("content", [b"something else\n", b'{"address":7}\n', b"[]\n", b"x" * (2 << 20)])
async def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dso-a" / f"{DAY}.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(PublishRefused) as refused:
        await JsonLines(tmp_path).publish(readings_of(0), A)
    assert refused.value.source == "dso-a"
    assert path.read_bytes() == content
