"""`bal ingest`: the fixed surface, in processes of their own."""

import gzip
import json
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.command import Shell, bal

MEMBERS = {"accepted", "rejected", "duplicates", "addresses", "rejections"}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home")


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_document_is_certified_when_the_command_returns(shell: Shell, tmp_path: Path) -> None:
    path = put(tmp_path, "document.xml", documents.many(3))
    answer = shell("ingest", path, "--source", "dso-a", "--json", "--create-source")
    assert (answer.code, answer.err) == (0, "")
    total = answer.value()
    assert total.keys() == MEMBERS
    assert (total["accepted"], total["rejected"], total["duplicates"]) == (3, 0, 0)
    assert total["addresses"] == ["bal-1:0:0", "bal-1:0:1", "bal-1:0:2"]
    assert total["rejections"] == []
    certificate = json.loads(shell.done("certificate", "bal-1:0:2", "--json").out)
    assert certificate["anchor"]["size"] == 3  # anchored: there is a certificate at once
    again = shell("ingest", path, "--source", "dso-a", "--json")
    assert again.code == 0
    known = again.value()
    assert (known["accepted"], known["rejected"], known["duplicates"]) == (0, 0, 3)
    assert known["addresses"] == total["addresses"]
    assert shell.clean()["readings"] == 3


def test_options_stand_in_any_order_and_the_home_may_come_from_the_environment(tmp_path: Path) -> None:
    path, home = put(tmp_path, "d.xml", documents.many(2)), tmp_path / "elsewhere" / "home"
    words = ("ingest", "--json", "--create-source", "--source", "dso-a")
    words = ("--json", "--create-source", "--source", "dso-a", "--ranges")
    answer = bal("ingest", *words, path, variables={"BAL_HOME": str(home)})
    assert (answer.code, answer.err) == (0, "")
    assert answer.value()["addresses"] == ["bal-1:0:0-1"]
    assert (home / "scd.sqlite").exists()
    assert oct(home.stat().st_mode & 0o777) == "0o700"


def test_gzip_standard_input_and_pmu_messages(shell: Shell, tmp_path: Path) -> None:
    packed = put(tmp_path, "document.xml.gz", gzip.compress(documents.one()))
    first = shell.done("ingest", packed, "--source", "dso-a", "--create-source", "--json").value()
    assert first["accepted"] == 1
    plain = shell.ingest(documents.one())  # the same message, unpacked and by another door
    assert (plain["accepted"], plain["duplicates"], plain["addresses"]) == (0, 1, first["addresses"])
    frame = shell.ingest(documents.frame())
    assert frame["accepted"] == 1
    voltages = shell.readings("--quantity", "voltageMagnitude")
    assert [(r["value"], r["component"], r["phase"], r["unit"]) for r in voltages] == [
        ("230.5", "BUS1", "A", "V")
    ]


def test_several_files_give_one_object(shell: Shell, tmp_path: Path) -> None:
    good = put(tmp_path, "good.xml", documents.many(2))
    later = put(tmp_path, "later.xml", documents.many(2, time="2026-01-31T12:15:00Z"))
    words = ("--source", "dso-a", "--create-source", "--json")
    answer = shell("ingest", good, tmp_path / "missing.xml", later, *words)
    assert answer.code == 2
    total = answer.value()
    assert (total["accepted"], total["rejected"]) == (4, 1)
    assert len(total["addresses"]) == 4
    assert len(total["rejections"]) == 1
    assert answer.problem()["type"] == "urn:bal:problem:not-found"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\xff\xfe\x01garbage" * 50, id="binary"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"<MeterReadings><broken", id="broken XML"),
        pytest.param(b'{"device": "pmu-1", "timestamp"', id="broken JSON"),
        pytest.param(b"<html><body/></html>", id="other XML"),
        pytest.param(gzip.compress(b"<a/>")[:-9], id="broken gzip"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY b "c">]>' + documents.one(), id="DOCTYPE"),
    ],
)
def test_what_cannot_be_read_at_all_is_told_with_exit_code_2(
    shell: Shell, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "document"
    if content is not None:
        path.write_bytes(content)
    answer = shell("ingest", path, "--source", "dso-a", "--json", "--create-source")
    assert answer.code == 2
    total = answer.value()
    assert total.keys() == MEMBERS
    assert (total["accepted"], total["rejected"], total["addresses"]) == (0, 1, [])
    (rejection,) = total["rejections"]
    assert rejection.keys() == {"reason", "where"}
    assert rejection["reason"]
    assert rejection["where"]
    assert answer.problem()["detail"] == rejection["reason"]


def test_a_folder_is_no_document(shell: Shell, tmp_path: Path) -> None:
    answer = shell("ingest", tmp_path, "--source", "dso-a", "--create-source")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1


def test_good_readings_pass_and_bad_ones_are_told_one_by_one(shell: Shell) -> None:
    mixed = documents.document(
        documents.meter("DE-1", documents.reading("1"), documents.reading("NaN", "2026-01-31T12:15:00Z")),
        documents.meter("DE-2", documents.reading("2", "2026-02-30T12:00:00Z"), documents.reading("3")),
        documents.meter("DE-3", documents.reading("4", ref="no-code"), documents.reading("4" * 35)),
        documents.meter("DE-4", documents.reading("5"), documents.reading("5")),
    )
    words = ("ingest", "-", "--source", "dso-a", "--json", "--create-source")
    answer = shell(*words, stdin=mixed)
    assert (answer.code, answer.err) == (1, "")
    total = answer.value()
    assert (total["accepted"], total["rejected"], total["duplicates"]) == (3, 4, 1)
    assert [rejection["where"] for rejection in total["rejections"]] == [
        "MeterReading[1]/Readings[2]/value",
        "MeterReading[2]/Readings[1]/timeStamp",
        "MeterReading[3]/Readings[1]/ReadingType",
        "MeterReading[3]/Readings[2]/value",
    ]
    assert all(rejection.keys() == {"reason", "where"} for rejection in total["rejections"])
    assert sorted(row["value"] for row in shell.readings()) == ["1", "3", "5"]
    again = shell(*words, stdin=mixed).value()
    assert (again["accepted"], again["duplicates"]) == (0, 4)
    assert again["addresses"] == total["addresses"]
    refused = shell.done("rejections", "--source", "dso-a", "--json").values()
    assert [row["where"] for row in refused] == [rejection["where"] for rejection in total["rejections"]]
    assert b"NaN" in shell.done("rejections", "--open", str(refused[0]["id"])).out.encode()
    people = shell("ingest", "-", "--source", "dso-a", stdin=mixed)
    assert "0 accepted" in people.out
    assert "MeterReading[1]/Readings[2]/value" in people.out


def test_an_unknown_source_and_a_bad_name_are_refused(shell: Shell) -> None:
    unknown = shell("ingest", "-", "--source", "dso-x", "--json", stdin=documents.one())
    assert unknown.code == 2
    assert unknown.problem()["type"] == "urn:bal:problem:unknown-source"
    assert unknown.value()["accepted"] == 0
    named = shell("ingest", "-", "--source", "No Name", "--create-source", "--json", stdin=documents.one())
    assert named.code == 2
    assert named.problem()["type"] == "urn:bal:problem:malformed"
    plain = shell("ingest", "-", "--source", "dso-x", stdin=documents.one())
    assert plain.err.startswith("bal: dso-x: this source is not registered (")
    assert len(plain.err.splitlines()) == 1


def test_no_meter_number_is_told_or_kept(shell: Shell) -> None:
    secret = "DE0099SECRETMETER0000000000000007"
    row = documents.reading("1", ref="no-code")
    for number, document in enumerate(
        (
            documents.one("1", secret),
            documents.document(documents.meter(secret, row)),
            documents.one("1", secret)[:-9],
            documents.one("x", secret).replace(b"<mRID>", b"<mRID><broken"),
            documents.frame(secret, data="NaN"),
            f'{{"device": "{secret}"'.encode(),
        )
    ):
        for form in ((), ("--json",)):
            words = ("ingest", "-", "--source", "dso-a", "--create-source", *form)
            answer = shell(*words, stdin=document + b" " * number)
            assert secret not in answer.out + answer.err
    for words in (("readings", "--source", "dso-a"), ("rejections",), ("anchors",), ("audit",), ("doctor",)):
        answer = shell(*words)
        assert secret not in answer.out + answer.err
    (shown,) = shell.readings("--meter", secret)
    assert shown["value"] == "1"
    missing = shell("readings", "--source", "nobody", "--meter", secret)
    assert secret not in missing.err
    for path in (path for path in shell.home.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes(), path
