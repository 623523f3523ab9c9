"""`bal readings`, `bal certificate` and `bal verify`: filters, revisions, proofs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import documents
from tests.e2e.command import Shell, bal

ENTRY = {
    "type",
    "source",
    "point",
    "component",
    "quantity",
    "reading_type",
    "phase",
    "value",
    "unit",
    "timestamp",
    "interval",
    "quality",
    "received_at",
}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a home with two meters, two quarter hours, two quantities, and a PMU."""
    shell = Shell(tmp_path_factory.mktemp("readings") / "home")
    meters = [
        documents.meter(
            name,
            documents.reading(f"{n}00", "2026-01-31T12:00:00Z"),
            documents.reading(f"{n}15", "2026-01-31T13:15:00+01:00"),
            documents.reading(f"{n}.5", "2026-01-31T12:00:00Z", documents.GAS),
        )
        for n, name in enumerate(("DE-METER-1", "DE-METER-2"), 1)
    ]
    shell.ingest(documents.document(*meters))
    shell.ingest(documents.frame(), "pmu-a")
    return shell


def test_each_line_is_an_entry_and_its_address(shell: Shell) -> None:
    rows = shell.readings()
    assert len(rows) == 6
    assert all(row.keys() == ENTRY | {"address"} for row in rows)
    assert {row["source"] for row in rows} == {"dso-a"}
    assert [row["timestamp"] for row in rows] == sorted((row["timestamp"] for row in rows), reverse=True)
    for row in rows:
        certificate = json.loads(shell.done("certificate", row["address"]).out)
        assert certificate["entry"] == {name: row[name] for name in ENTRY}
        assert certificate["address"] == row["address"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("--quantity", "activeEnergy"), {"100", "115", "200", "215"}),
        (("--quantity", "volume"), None),
        (("--from", "2026-01-31T12:15:00Z"), {"115", "215"}),
        (("--from", "2026-01-31T13:15:00+01:00"), {"115", "215"}),
        (("--to", "2026-01-31T12:15:00Z"), {"100", "200", "1.5", "2.5"}),
        (("--from", "2026-01-31", "--to", "2026-02-01"), {"100", "115", "200", "215", "1.5", "2.5"}),
        (("--from", "2027-01-01"), set()),
        (("--meter", "DE-METER-1"), {"100", "115", "1.5"}),
        (("--meter", "DE-METER-2", "--quantity", "activeEnergy", "--to", "2026-01-31T12:15:00Z"), {"200"}),
        (("--meter", "DE-NOBODY"), set()),
        (("--point", "a" * 26), set()),
        (("--history",), {"100", "115", "200", "215", "1.5", "2.5"}),
    ],
)
def test_filters(shell: Shell, words: tuple[str, ...], values: set[str] | None) -> None:
    rows = shell.readings(*words)
    if values is None:
        gas = {row["quantity"] for row in shell.readings() if row["value"] in {"1.5", "2.5"}}
        assert len(gas) == 1
        assert gas != {"activeEnergy"}
        rows, values = shell.readings("--quantity", gas.pop()), {"1.5", "2.5"}
    assert {row["value"] for row in rows} == values
    assert len(rows) == len(values)


def test_a_point_is_the_pseudonym_of_a_meter(shell: Shell) -> None:
    (point,) = {row["point"] for row in shell.readings("--meter", "DE-METER-1")}
    assert len(point) == 26
    assert {row["value"] for row in shell.readings("--point", point)} == {"100", "115", "1.5"}
    assert shell.readings("--point", point, "--meter", "DE-METER-2") == []
    assert len(shell.readings("--point", point, "--meter", "DE-METER-1")) == 3
    (frame,) = shell.readings("--meter", "pmu-1", source="pmu-a")
    assert frame["quantity"] == "voltageMagnitude"
    assert len(shell.readings("--limit", "4")) == 4
    assert "DE-METER" not in shell.done("readings", "--source", "dso-a").out


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        (("readings", "--source", "nobody"), "unknown-source", 2),
        (("readings", "--source", "dso-a", "--from", "yesterday"), "malformed", 2),
        (("readings", "--source", "dso-a", "--to", "2026-01-31T12:00:00"), "malformed", 2),
        (("readings",), "malformed", 2),
        (("certificate", "bal-1:0"), "malformed", 2),
        (("certificate", "bal-1:0:4095"), "not-found", 2),
        (("certificate", "bal-1:99:0"), "not-found", 2),
        (("certificate", "other:0:0"), "not-found", 2),
    ],
)
def test_questions_without_an_answer(shell: Shell, words: tuple[str, ...], slug: str, code: int) -> None:
    answer = shell(*words, "--json")
    assert (answer.code, answer.out) == (code, "")
    assert answer.problem()["type"] == f"urn:bal:problem:{slug}"


# --- revisions
def history(shell: Shell) -> list[str]:
    rows = shell.readings("--history")
    for row in rows:
        path = shell.home.parent / "certificate.json"
        path.write_text(shell.done("certificate", row["address"]).out)
        assert shell.done("verify", path, "--json").value() == {"valid": True, "reason": ""}
    return [row["value"] for row in rows]


def test_a_first_document_sent_again_changes_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    first, second = documents.one("1"), documents.one("2")
    for document in (first, second, first, first):
        shell.ingest(document)
    assert [row["value"] for row in shell.readings()] == ["2"]
    assert history(shell) == ["1", "2"]


def test_a_new_document_with_the_old_value_is_a_revision(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    addresses = [
        shell.ingest(document)["addresses"][0]
        for document in (documents.one("1"), documents.one("2"), documents.one("1") + b"\n")
    ]
    (shown,) = shell.readings()
    assert (shown["value"], shown["address"]) == ("1", addresses[2])
    assert history(shell) == ["1", "2", "1"]
    assert [row["address"] for row in shell.readings("--history")] == addresses
    assert len(set(addresses)) == 3


def test_the_same_document_three_times_shows_each_reading_once(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    answers = [shell.ingest(documents.many(5)) for _ in range(3)]
    assert [(a["accepted"], a["duplicates"]) for a in answers] == [(5, 0), (0, 5), (0, 5)]
    assert answers[0]["addresses"] == answers[1]["addresses"] == answers[2]["addresses"]
    assert len(shell.readings()) == len(shell.readings("--history")) == 5


def test_an_equal_value_in_another_document_is_shown_with_its_first_address(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    first = shell.ingest(documents.one("7.50"))["addresses"]
    shell.ingest(documents.one("7.5") + b" ")
    (shown,) = shell.readings()
    assert (shown["value"], [shown["address"]]) == ("7.5", first)


# --- verify
@pytest.fixture(scope="module")
def certificate(shell: Shell) -> str:
    return shell.done("certificate", "bal-1:0:1", "--json").out.strip()


@pytest.fixture(scope="module")
def anchors(shell: Shell) -> Path:
    path = shell.home.parent / "anchors.jsonl"
    shell.done("anchors", "export", "--output", path)
    return path


def changed(certificate: str, change: Callable[[dict[str, Any]], object]) -> str:
    value = json.loads(certificate)
    change(value)
    return json.dumps(value, separators=(",", ":"))


def test_a_certificate_is_one_line_without_white_space_for_machines(shell: Shell, certificate: str) -> None:
    assert certificate == json.dumps(json.loads(certificate), separators=(",", ":"))
    assert json.loads(shell.done("certificate", "bal-1:0:1").out) == json.loads(certificate)
    assert json.loads(certificate).keys() == {
        "version",
        "address",
        "entry",
        "salt",
        "tree_size",
        "path",
        "anchor",
    }


def test_valid_by_the_ledger_and_by_exported_anchors(
    shell: Shell, certificate: str, anchors: Path, tmp_path: Path
) -> None:
    path = tmp_path / "certificate.json"
    path.write_text(certificate)
    assert shell.done("verify", path, "--json").value() == {"valid": True, "reason": ""}
    elsewhere = ("--home", tmp_path / "nowhere")
    third = bal("verify", path, "--anchors", anchors, "--json", *elsewhere)
    assert (third.code, third.value()) == (0, {"valid": True, "reason": ""})
    assert not (tmp_path / "nowhere").exists()
    exported = shell.done("anchors", "--json").values()
    head = f"bal-1={exported[-1]['hash']}"
    trusted = bal("verify", path, "--anchors", anchors, "--head", head, "--json", *elsewhere)
    assert trusted.code == 0
    first = f"bal-1={exported[0]['hash']}"
    assert bal("verify", path, "--anchors", anchors, "--head", first, *elsewhere).code == 0
    wrong = bal("verify", path, "--anchors", anchors, "--head", f"bal-1={'0' * 64}", "--json", *elsewhere)
    assert (wrong.code, wrong.value()["valid"]) == (1, False)
    form = bal("verify", path, "--anchors", anchors, "--head", "bal-1", *elsewhere)
    assert form.code == 2
    lonely = shell("verify", path, "--head", head, "--json")
    assert lonely.code == 2  # a head says something of a file of anchors only


def test_what_was_changed_is_not_valid(shell: Shell, certificate: str, tmp_path: Path) -> None:
    def entry(name: str, value: object) -> str:
        return changed(certificate, lambda c: c["entry"].update({name: value}))

    broken = [
        entry("value", "999"),
        entry("unit", "kWh"),
        entry("extra", "x"),
        changed(certificate, lambda c: c.update(tree_size=7)),
        changed(certificate, lambda c: c.update(address="bal-1:0:2")),
        changed(certificate, lambda c: c["anchor"].update(root="0" * 64)),
        changed(certificate, lambda c: c["path"].pop()),
        certificate[:-1],
        "{}",
        "[]",
        "null",
        "",
        "no JSON",
        "\x00",
    ]
    paths = [tmp_path / f"{number}.json" for number in range(len(broken))]
    for path, text in zip(paths, broken, strict=True):
        path.write_text(text)
    answer = shell("verify", *paths, "--json")
    assert (answer.code, answer.err) == (1, "")
    verdicts = answer.values()
    assert len(verdicts) == len(broken)
    for verdict, text in zip(verdicts, broken, strict=True):
        assert verdict.keys() == {"valid", "reason"}
        assert verdict["valid"] is False, text
        assert verdict["reason"]
    single = shell("verify", paths[0], "--json")
    assert (single.code, single.value()["valid"]) == (1, False)
    good = tmp_path / "good.json"
    good.write_text(certificate)
    piped = shell("verify", "-", "--json", stdin=certificate.encode())
    assert (piped.code, piped.value()["valid"]) == (0, True)
    both = shell("verify", good, paths[0])
    assert both.code == 1
    assert f"{good}: valid" in both.out
    assert "NOT valid" in both.out


def test_without_a_file_or_anything_to_trust_the_exit_code_is_2(
    shell: Shell, certificate: str, anchors: Path, tmp_path: Path
) -> None:
    path, empty = tmp_path / "certificate.json", tmp_path / "empty"
    path.write_text(certificate)
    empty.write_bytes(b"")
    asked = [
        shell("verify", tmp_path / "missing.json", "--json"),
        shell("verify", tmp_path, "--json"),
        bal("verify", path, "--home", tmp_path / "nowhere", "--json"),
        bal("verify", path, "--anchors", tmp_path / "missing.jsonl", "--json"),
        bal("verify", path, "--anchors", empty, "--json"),
    ]
    for answer in asked:
        assert answer.code == 2
        assert answer.problem()["type"] in {"urn:bal:problem:not-found", "urn:bal:problem:nothing-to-trust"}
        verdict = answer.value()
        assert verdict["valid"] is False
        assert verdict["reason"] == answer.problem()["detail"]
    lines = anchors.read_text().splitlines()
    fork = tmp_path / "fork.jsonl"
    fork.write_text(lines[-1] + "\n")
    cut = bal("verify", path, "--anchors", fork, "--json")
    assert cut.code == 1
    assert cut.value()["valid"] is False


def test_home_and_json_may_stand_before_the_verb(shell: Shell) -> None:
    behind = bal("readings", "--source", "dso-a", "--home", shell.home, "--json")
    assert behind.code == 0
    assert bal("--home", shell.home, "--json", "readings", "--source", "dso-a").values() == behind.values()
    assert bal("--json", f"--home={shell.home}", "sources", "list").values()
    named = bal("--home", shell.home, "certificate", "--json", "--", "bal-1:0:0")
    assert named.value()["address"] == "bal-1:0:0"
    assert bal("--json", "--home").problem()["detail"]
