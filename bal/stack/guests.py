"""Who was admitted to a stack: a file each, called after the guest, that says whether it still is.

The stack's CA serves sources and subscribers too, so that a certificate says nothing of it.
"""

from pathlib import Path
from typing import Literal, cast

from bal.core.names import check_name
from bal.durable import SECRET, make_directory, write_file
from bal.stack.layout import Layout

State = Literal["admitted", "dismissed"]


def state(layout: Layout, name: str) -> State | None:
    """Return whether a guest is admitted or was dismissed, everywhere; None for whoever was no guest."""
    path = _file(layout, name)
    return cast("State", path.read_text(encoding="ascii").strip()) if path.exists() else None


def note(layout: Layout, name: str, state: State) -> None:
    """Write that down: before the first right is given, and after the last one was taken."""
    path = _file(layout, name)
    make_directory(path.parent)
    write_file(path, f"{state}\n".encode(), SECRET, replace=True)


def _file(layout: Layout, name: str) -> Path:
    return layout.guests / check_name(name)
