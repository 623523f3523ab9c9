"""Options every verb has, and how verbs print."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bal.config import DEFAULT_HOME, HOME_VARIABLE
from bal.home import Home

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar=HOME_VARIABLE, help="Data folder of this BAL; made on first use.", show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DEFAULT = Path(DEFAULT_HOME)
_WIDE = 100_000


def home_at(path: Path) -> Home:
    """Return the home in a folder."""
    return Home(path.expanduser().absolute())


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


_WHOLE = frozenset({"time", "point", "address"})
"""Columns whose words are copied: never broken."""


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """Print a table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in _WHOLE)
    for row in rows:
        table.add_row(*row)
    # Whoever reads a pipe wants one line a row.
    width = None if sys.stdout.isatty() else _WIDE
    Console(highlight=False, markup=False, width=width).print(table)
