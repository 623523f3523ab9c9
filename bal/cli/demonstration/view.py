"""What the demonstration shows while the field sends."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table


class View:
    """A live table on a terminal, a plain line a second elsewhere."""

    def __init__(self, console: Console, table: Callable[[], Table], *, live: bool) -> None:
        self._console = console
        self._table = table
        self._live = Live(console=console, auto_refresh=False) if live else None

    def __enter__(self) -> Callable[[], None]:
        if self._live is not None:
            self._live.__enter__()
        return self._refresh

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def _refresh(self) -> None:
        table = self._table()
        if self._live is not None:
            self._live.update(table, refresh=True)
        elif not self._console.stderr:
            cells = [list(column.cells) for column in table.columns]
            rows = ", ".join(f"{name}: {got} of {made}" for name, made, got in zip(*cells, strict=True))
            self._console.print(f"receipts: {rows}; {table.caption}", soft_wrap=True)
            sys.stdout.flush()
