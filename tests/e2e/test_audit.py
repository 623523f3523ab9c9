"""`bal audit`: clean homes, tampered rows, ledgers rolled back; `bal erase`."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.command import Shell

MEMBERS = {"ok", "readings", "batches", "pending", "findings"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a home with two batches of four readings."""
    shell = Shell(tmp_path_factory.mktemp("audit") / "home")
    shell.ingest(documents.many(4))
    shell.ingest(documents.many(4, 2000, "2026-01-31T12:15:00Z"))
    return shell


@pytest.fixture
def shell(honest: Shell, tmp_path: Path) -> Shell:
    """Return a copy of the honest home."""
    shutil.copytree(honest.home, tmp_path / "home", ignore=shutil.ignore_patterns("*.sock"))
    return Shell(tmp_path / "home")


@contextmanager
def database(shell: Shell) -> Iterator[sqlite3.Connection]:
    """Open the SCD as anybody with access to the file would."""
    connection = sqlite3.connect(shell.home / "scd.sqlite")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def found(shell: Shell, *more: str | Path) -> list[tuple[str, str]]:
    """Audit; return kinds and addresses of what was found, and hold exit code and form against them."""
    answer = shell("audit", "--json", *more)
    report = answer.value()
    assert report.keys() == MEMBERS
    assert all(finding.keys() == {"kind", "address"} for finding in report["findings"])
    assert report["ok"] is (not report["findings"])
    assert (answer.code, answer.err) == (1 if report["findings"] else 0, "")
    return [(finding["kind"], finding["address"]) for finding in report["findings"]]


def test_a_clean_home(honest: Shell) -> None:
    assert honest.clean() == {"ok": True, "readings": 8, "batches": 2, "pending": 0, "findings": []}
    people = honest.done("audit").out
    assert people == "8 readings in 2 batches, 0 pending: clean\n"


COPY = "CREATE TEMP TABLE t AS SELECT * FROM readings WHERE seq = 0 AND idx = 0"


@pytest.mark.parametrize(
    ("script", "findings"),
    [
        ("UPDATE readings SET value = '9' WHERE seq = 0 AND idx = 2", ["changed bal-1:0:2"]),
        ("UPDATE readings SET timestamp = timestamp + 1 WHERE seq = 1 AND idx = 0", ["changed bal-1:1:0"]),
        ("UPDATE readings SET salt = zeroblob(16) WHERE seq = 1 AND idx = 3", ["changed bal-1:1:3"]),
        ("UPDATE readings SET value = '1003' WHERE seq = 0 AND idx = 0", ["changed bal-1:0:0"]),
        ("DELETE FROM readings WHERE seq = 1 AND idx = 1", ["missing bal-1:1:1"]),
        (f"{COPY}; UPDATE t SET idx = 4; INSERT INTO readings SELECT * FROM t", ["added bal-1:0:4"]),
        (f"{COPY}; UPDATE t SET seq = 7; INSERT INTO readings SELECT * FROM t", ["added bal-1:7:0"]),
        (
            (
                "UPDATE readings SET idx = 99 WHERE seq = 0 AND idx = 1;"
                "UPDATE readings SET idx = 1 WHERE seq = 0 AND idx = 2;"
                "UPDATE readings SET idx = 2 WHERE seq = 0 AND idx = 99"
            ),
            ["swapped bal-1:0:1", "swapped bal-1:0:2"],
        ),
    ],
)
def test_a_tampered_row_is_named(shell: Shell, script: str, findings: list[str]) -> None:
    with database(shell) as scd:
        scd.executescript(script)
    assert [" ".join(finding) for finding in found(shell)] == findings
    people = shell("audit")
    assert people.code == 1
    assert people.out.splitlines()[:-1] == [finding.replace(" ", ": ") for finding in findings]


def test_values_of_two_rows_exchanged(shell: Shell) -> None:
    with database(shell) as scd:
        (one,), (two,) = scd.execute(
            "SELECT value FROM readings WHERE seq = 0 AND idx < 2 ORDER BY idx"
        ).fetchall()
        for value, index in ((two, 0), (one, 1)):
            scd.execute("UPDATE readings SET value = ? WHERE seq = 0 AND idx = ?", (value, index))
    findings = found(shell)
    assert [address for _, address in findings] == ["bal-1:0:0", "bal-1:0:1"]
    shell.ingest(documents.one("77", "DE-NEW"))  # the home goes on, and goes on telling
    assert found(shell) == findings


def test_batches_and_their_rows_removed(shell: Shell) -> None:
    with database(shell) as scd:
        for table in ("readings", "batches", "tiles", "marks"):
            scd.execute(f"DELETE FROM {table} WHERE seq = 1")
    assert found(shell) == [("batch_missing", "bal-1:1")]


def test_a_changed_block_of_the_ledger(shell: Shell) -> None:
    (blocks,) = (path for path in (shell.home / "ledger").iterdir() if path.name.startswith("blocks"))
    content = bytearray(blocks.read_bytes())
    content[len(content) // 2] ^= 1
    blocks.write_bytes(content)
    assert {kind for kind, _ in found(shell)} == {"ledger_altered"}


def test_a_ledger_rolled_back(shell: Shell, tmp_path: Path) -> None:
    heads = tmp_path / "heads.json"
    assert found(shell, "--heads", heads) == []
    assert json.loads(heads.read_text())["bal-1"]["seq"] == 1
    assert found(shell, "--since", heads) == []
    before = tmp_path / "before"
    shutil.copytree(shell.home, before, ignore=shutil.ignore_patterns("*.sock"))
    shell.ingest(documents.one("77", "DE-NEW"))
    later = tmp_path / "later.json"
    assert found(shell, "--since", heads, "--heads", later) == []
    # The ledger's folder alone is put back: it is shorter than the batches that were anchored.
    shutil.rmtree(shell.home / "ledger")
    shutil.copytree(before / "ledger", shell.home / "ledger")
    assert found(shell) == [("ledger_cut", "bal-1:2")]
    # The whole home is put back: only who kept the heads can tell.
    back = Shell(before)
    assert found(back) == []
    assert [kind for kind, _ in found(back, "--since", later)] == ["ledger_cut"]
    # And goes on differently from there.
    back.ingest(documents.one("79", "DE-OTHER"))
    assert [kind for kind, _ in found(back, "--since", later)] == ["ledger_altered"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"bal-1": 3}'])
def test_heads_that_cannot_be_read(honest: Shell, tmp_path: Path, content: bytes | None) -> None:
    heads = tmp_path / "heads.json"
    if content is not None:
        heads.write_bytes(content)
    answer = honest("audit", "--since", heads, "--json")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.problem()["detail"]


# --- erase
def test_an_erasure_is_anchored_and_leaves_nothing(shell: Shell, honest: Shell) -> None:
    (row,) = (row for row in honest.readings() if row["address"] == "bal-1:0:1")
    salt = json.loads(honest.done("certificate", "bal-1:0:1", "--json").out)["salt"]
    answer = shell.done("erase", "bal-1:0:1", "--why", "asked for", "--json").value()
    assert answer == {"address": "bal-1:0:1", "noted_at": "bal-1:2:0"}
    assert len(shell.readings("--history")) == 7
    for path in (path for path in shell.home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert bytes.fromhex(salt) not in content, path
        assert salt.encode() not in content, path
        assert f'"{row["value"]}"'.encode() not in content, path
    gone = shell("certificate", "bal-1:0:1", "--json")
    assert (gone.code, gone.problem()["type"]) == (2, "urn:bal:problem:erased")
    note = json.loads(shell.done("certificate", answer["noted_at"], "--json").out)
    assert note["entry"]["type"] == "erasure"
    assert note["entry"]["address"] == "bal-1:0:1"
    place = shell.home.parent / "note.json"
    place.write_text(json.dumps(note))
    shell.done("verify", place)
    assert found(shell) == []
    # The same document does not bring it back, neither does the same reading in another one.
    assert shell.ingest(documents.many(4))["duplicates"] == 4
    other = shell("ingest", "-", "--source", "dso-a", "--json", stdin=documents.many(4) + b"\n")
    assert (other.code, other.value()["rejected"]) == (1, 1)
    assert row["point"] not in {
        r["point"] for r in shell.readings("--history") if r["timestamp"] == row["timestamp"]
    }
    twice = shell("erase", "bal-1:0:1", "--why", "asked for", "--json")
    assert (twice.code, twice.problem()["type"]) == (2, "urn:bal:problem:erased")
    assert found(shell) == []


def test_a_row_deleted_by_hand_with_a_forged_note_is_told(shell: Shell) -> None:
    shell.done("erase", "bal-1:0:1", "--why", "asked for")
    with database(shell) as scd:
        scd.execute("DELETE FROM readings WHERE seq = 0 AND idx = 3")
        scd.execute("CREATE TEMP TABLE e AS SELECT * FROM erased")
        scd.execute("UPDATE e SET address = 'bal-1:0:3', lookup = zeroblob(32)")
        scd.execute("INSERT INTO erased SELECT * FROM e")
        scd.execute("CREATE TEMP TABLE n AS SELECT * FROM erasures")
        scd.execute("UPDATE n SET idx = 1, address = 'bal-1:0:3'")
        scd.execute("INSERT INTO erasures SELECT * FROM n")
    findings = found(shell)
    assert ("forged_erasure", "bal-1:0:3") in findings


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        (("bal-1:9:9", "--why", "x"), "not-found", 2),
        (("nonsense", "--why", "x"), "malformed", 2),
        (("bal-1:0:0", "--why", ""), "refused", 1),
        (("bal-1:0:0", "--why", "x" * 501), "refused", 1),
        (("bal-1:0:0",), "malformed", 2),
    ],
)
def test_what_cannot_be_erased(honest: Shell, words: tuple[str, ...], slug: str, code: int) -> None:
    answer = honest("erase", *words, "--json")
    assert (answer.code, answer.out) == (code, "")
    assert answer.problem()["type"] == f"urn:bal:problem:{slug}"
    assert len(honest.readings()) == 8


def test_a_row_that_was_changed_is_not_erased_over(shell: Shell) -> None:
    with database(shell) as scd:
        scd.execute("UPDATE readings SET value = '9' WHERE seq = 0 AND idx = 2")
    answer = shell("erase", "bal-1:0:2", "--why", "to hide it", "--json")
    assert (answer.code, answer.problem()["type"]) == (1, "urn:bal:problem:invalid")
    assert found(shell) == [("changed", "bal-1:0:2")]
