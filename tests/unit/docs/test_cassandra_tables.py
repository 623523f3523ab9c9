"""Every table and column of the migrations stands in the data dictionary, with its type, in order."""

import re

import pytest

from bal.resources import resource
from bal.store.cassandra.roles import AUDITED, QUERIED
from bal.store.cassandra.scripts import Migration, read_migrations
from tests.unit.docs.pages import code, page, rows, section

PAGE = "docs/scd.md"
MIGRATIONS = read_migrations(resource("scd") / "migrations")
_CREATED = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD IF NOT EXISTS (\w+) ([\w<>, ]+)")
_COLUMN = re.compile(r'^\s*"?(\w+)"?\s+([\w<>, ]+?)(?: PRIMARY KEY| STATIC)?,?$')


def columns(migrations: list[Migration]) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of every table as the migrations leave them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for statement in (each for migration in migrations for each in migration.statements):
        if created := _CREATED.match(statement):
            lines = [line for line in created[2].splitlines() if line.strip()]
            told = [_COLUMN.match(line) for line in lines if "PRIMARY KEY (" not in line]
            assert all(told), statement
            found[created[1]] = [(each[1], each[2].strip()) for each in told if each]
        elif added := _ADDED.match(statement):
            found[added[1]].append((added[2], added[3]))
        else:
            pytest.fail(f"neither makes a table nor adds a column: {statement}")
    return found


def dictionary() -> str:
    return section(page(PAGE), "## On Cassandra")


def test_every_table_has_its_heading_and_no_other_is_told_of() -> None:
    told = re.findall(r"^### `(\w+)`$", dictionary(), re.MULTILINE)
    assert sorted(told) == sorted(columns(list(MIGRATIONS)))


def test_what_reader_and_auditor_may_read_is_listed() -> None:
    told = {
        cells[0]: cells[2] for cells in rows(dictionary()) if cells[0].startswith("`") and "_" in cells[0]
    }
    reader, auditor = told["`<keyspace>_reader`: queries, certificates"], told["`bal_<auditor>_auditor`"]
    assert tuple(re.findall(r"`(\w+)`", reader)) == QUERIED
    assert {*QUERIED, *re.findall(r"`(\w+)`", auditor)} == set(AUDITED)
    assert set(AUDITED) < set(columns(list(MIGRATIONS)))


@pytest.mark.parametrize("table", columns(list(MIGRATIONS)))
def test_every_column_is_listed_in_order_with_its_type(table: str) -> None:
    listed = [(code(cells[0]), cells[1]) for cells in rows(section(dictionary(), f"### `{table}`"))]
    assert listed == columns(list(MIGRATIONS))[table]
