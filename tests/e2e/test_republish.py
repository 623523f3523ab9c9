"""`bal republish`: an output that refused a source gets what it missed, in order, after the service has ended."""

import json
from pathlib import Path
from typing import Any

from tests.e2e import documents
from tests.e2e.command import Shell


def certified(shell: Shell) -> list[Any]:
    files = sorted((shell.home / "out" / "dso-a").glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def addresses(shell: Shell) -> list[str]:
    return [each["address"] for each in certified(shell)]


def test_what_was_refused_is_told_handed_on_and_whole(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    first = shell.ingest(documents.one("1"))["addresses"]
    (file,) = (shell.home / "out" / "dso-a").glob("*.jsonl")
    whole = file.read_text()
    file.write_text(whole + "somebody else was here\n")
    words = ("ingest", "-", "--source", "dso-a", "--json")
    parked = shell(*words, stdin=documents.one("2", time="2026-01-31T12:15:00Z"))
    assert (parked.code, json.loads(parked.err)["event"]) == (0, "output parked")
    second = parked.value()["addresses"]
    third = shell.ingest(documents.one("3", time="2026-01-31T12:30:00Z"))["addresses"]

    sick = shell("doctor", "--json")
    assert sick.code == 1
    (check,) = [each for each in sick.values() if not each["ok"]]
    assert check["what"] == "output jsonl"
    assert "`bal republish --source dso-a`" in check["found"]
    refused = shell("republish", "--source", "dso-a", "--json")
    assert (refused.code, refused.problem()["type"]) == (2, "urn:bal:problem:publish-refused")

    file.write_text(whole)
    done = shell.done("republish", "--source", "dso-a", "--json").value()
    assert done == {"source": "dso-a", "batches": {"jsonl": 2}}
    assert addresses(shell) == [*first, *second, *third]
    assert shell("doctor").code == 0
    fourth = shell.ingest(documents.one("4", time="2026-01-31T12:45:00Z"))["addresses"]
    assert addresses(shell) == [*first, *second, *third, *fourth]


def test_a_lost_file_is_written_again_without_what_was_erased(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    (first,) = shell.ingest(documents.one("1"))["addresses"]
    (second,) = shell.ingest(documents.one("2", time="2026-01-31T12:15:00Z"))["addresses"]
    note = shell.done("erase", first, "--why", "asked", "--json").value()["noted_at"]
    nothing = shell("republish", "--source", "dso-a", "--json")
    assert (nothing.code, nothing.problem()["type"]) == (2, "urn:bal:problem:not-found")
    assert shell("republish", "--source", "dso-a", "--output", "mqtt", "--from", first).code == 2
    said = shell.done("republish", "--source", "dso-a", "--from", first).out
    assert said == "jsonl: 3 batches with readings of dso-a handed on\n"
    assert addresses(shell) == [first, second, note], "nothing doubles"
    (file,) = (shell.home / "out" / "dso-a").glob("*.jsonl")
    file.unlink()
    shell.done("republish", "--source", "dso-a", "--from", first)
    assert addresses(shell) == [second, note]
    for each in certified(shell):
        (tmp_path / "one.json").write_text(json.dumps(each))
        shell.done("verify", tmp_path / "one.json")


def test_a_stretch_is_handed_out_once_more(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    times = [f"2026-01-31T12:{minute:02}:00Z" for minute in (0, 15, 30, 45)]
    made = [shell.ingest(documents.one(str(each), time=time))["addresses"] for each, time in enumerate(times)]
    whole = addresses(shell)
    for path in (shell.home / "out" / "dso-a").glob("*.jsonl"):
        path.unlink()
    (second,), (third,) = made[1:3]
    words = ("republish", "--source", "dso-a", "--from", second, "--to", third, "--json")
    assert shell.done(*words).value() == {"source": "dso-a", "batches": {"jsonl": 2}}
    assert addresses(shell) == [second, third]
    for path in (shell.home / "out" / "dso-a").glob("*.jsonl"):
        path.unlink()
    words = ("republish", "--source", "dso-a", "--from", "2026-01-01", "--to", "2999-01-01", "--json")
    assert shell.done(*words).value() == {"source": "dso-a", "batches": {"jsonl": 4}}
    assert addresses(shell) == whole
    assert shell("republish", "--source", "dso-a", "--to", third).code == 2
