"""Files of migrations: split as CQL has it, numbered, told apart by their bytes."""

from pathlib import Path

import pytest

from bal.core.errors import Misconfigured
from bal.resources import resource
from bal.store.cassandra.scripts import read_migrations, split


@pytest.mark.parametrize(
    "text, statements",
    [
        ("", []),
        (";;\n;", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("-- all; of it\nSELECT 1;", ["SELECT 1"]),
        ("// all; of it\nSELECT 1;", ["SELECT 1"]),
        ("/* one;\ntwo; */SELECT 1;", ["SELECT 1"]),
        ("SELECT/**/1", ["SELECT 1"]),
        ("INSERT 'a;b''c;-- no comment';x", ["INSERT 'a;b''c;-- no comment'", "x"]),
        ('SELECT "a;""b";x', ['SELECT "a;""b"', "x"]),
        ("AS $$ return 'x; -- '; $$; y", ["AS $$ return 'x; -- '; $$", "y"]),
        ("-- it's\nSELECT 'a'; -- it's\nb", ["SELECT 'a'", "b"]),
    ],
)
def test_statements_end_where_cql_ends_them(text: str, statements: list[str]) -> None:
    assert split(text) == statements


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text("SELECT 1;")
    return path


def test_they_are_read_in_order(tmp_path: Path) -> None:
    found = read_migrations(folder(tmp_path, "0001-b.cql", "0000-a.cql", "README.md"))
    assert [each.name for each in found] == ["0000-a", "0001-b"]
    assert found[0].statements == ("SELECT 1",)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("0001-a.cql",),
        ("0000-a.cql", "0002-b.cql"),
        ("0000-a.cql", "0000-b.cql"),
        ("0-a.cql",),
        ("a.cql",),
    ],
)
def test_one_missing_doubled_or_misnamed_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured):
        read_migrations(folder(tmp_path, *names))


def test_another_byte_is_another_checksum(tmp_path: Path) -> None:
    (before,) = read_migrations(folder(tmp_path, "0000-a.cql"))
    (tmp_path / "0000-a.cql").write_text("SELECT 1; ")
    (after,) = read_migrations(tmp_path)
    assert before.checksum != after.checksum
    assert before.statements == after.statements


def test_ours_may_be_run_again_after_an_interruption() -> None:
    for migration in read_migrations(resource("scd") / "migrations"):
        for statement in migration.statements:
            assert "IF NOT EXISTS" in statement, (migration.name, statement)
