import sqlite3

import pytest

from bal.store.sqlite import quarantine
from bal.store.sqlite.schema import PRAGMAS, SCHEMA
from tests.unit.docs.pages import code, page, prose, rows, section

PAGE = "docs/scd.md"


@pytest.fixture
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.executescript(quarantine._SCHEMA)
    return connection


def tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def test_every_table_has_its_heading_and_no_other_is_told_of(database: sqlite3.Connection) -> None:
    told = [line[4:-1] for line in page(PAGE).splitlines() if line.startswith("## `")]
    assert sorted(told) == sorted(tables(database))


def test_every_column_is_listed_in_order_with_its_type(database: sqlite3.Connection) -> None:
    for table in tables(database):
        listed = [(code(cells[0]), cells[1]) for cells in rows(section(page(PAGE), f"## `{table}`"))]
        assert listed == [
            (name, kind) for _, name, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        ], table


def test_every_column_says_what_it_means(database: sqlite3.Connection) -> None:
    assert [cells for cells in rows(page(PAGE)) if len(cells) != 3 or not cells[2]] == []


def test_every_index_is_named(database: sqlite3.Connection) -> None:
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    assert [name for (name,) in names if f"Index `{name}`" not in prose(page(PAGE))] == []


def test_what_it_says_of_durability_is_set() -> None:
    assert {"PRAGMA synchronous=FULL", "PRAGMA secure_delete=ON", "PRAGMA journal_mode=WAL"} <= set(PRAGMAS)
