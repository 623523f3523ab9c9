"""What the processes of a stack printed, as it comes."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from bal.core.errors import NotFound
from bal.stack.layout import Layout

_POLL_SECONDS: Final = 0.2
_TAIL_BYTES: Final = 1024**2


def check_process(layout: Layout, name: str) -> str:
    """Return the name of a process when it has a log; raise `NotFound` otherwise."""
    names = sorted(file.stem for file in layout.log("any").parent.glob("*.log"))
    if name not in names:
        message = "there is no log of that name"
        remedy = f"choose among {', '.join(names)}" if names else "`bal stack up` first"
        raise NotFound(message, subject=name, remedy=remedy)
    return name


def last_lines(layout: Layout, process: str, lines: int) -> list[str]:
    """Return the last lines of a log, at most a mebibyte."""
    return _read(layout, process, 0)[1][-lines:] if lines else []


def follow(layout: Layout, names: Sequence[str], lines: int) -> Iterator[tuple[str, str]]:
    """Yield (process, line): the last lines of each log, then without end what is added."""
    ends = {}
    for name in names:
        ends[name], found = _read(layout, name, 0)
        yield from ((name, line) for line in found[-lines:] if lines)
    while True:
        for name in names:
            ends[name], found = _read(layout, name, ends[name])
            yield from ((name, line) for line in found)
        time.sleep(_POLL_SECONDS)


def _read(layout: Layout, process: str, begin: int) -> tuple[int, list[str]]:
    """Return where the whole lines of a log end, and those from `begin` on; from the start again when it was cut."""
    if not layout.log(process).exists():
        return 0, []
    with layout.log(process).open("rb") as file:
        end = file.seek(0, 2)
        begin = begin if begin <= end else 0
        cut = begin < end - _TAIL_BYTES
        file.seek(end - _TAIL_BYTES if cut else begin)
        whole, _, rest = file.read(_TAIL_BYTES).rpartition(b"\n")
    lines = whole.decode(errors="replace").split("\n") if whole else []
    return end - len(rest), lines[1:] if cut else lines
