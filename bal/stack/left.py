"""What a stack may leave behind: pid files, processes of its processes' sessions."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bal.stack.layout import Layout
from bal.stack.process import Process

_PATIENCE_SECONDS: Final = 5.0


def named(layout: Layout) -> list[Process]:
    """Return a process for every pid file there is, in the order they were written."""
    written: dict[str, int] = {}
    for file in layout.pid("any").parent.glob("*.pid"):
        with suppress(FileNotFoundError):  # stopped meanwhile
            written[file.stem] = file.stat().st_mtime_ns
    return [Process(name, (), layout) for name in sorted(written, key=lambda name: written[name])]


def in_sessions(sessions: Iterable[int]) -> list[int]:
    """Return the processes whose session is one of these: what a server started and did not take along.

    Source: proc_pid_stat(5), fields 3 and 6.
    """
    wanted = set(sessions)
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) in wanted:
            found.append(int(file.parent.name))
    return found


def end(sessions: Iterable[int]) -> list[int]:
    """End what is left of these sessions by force; return what is there even then."""
    wanted = set(sessions)
    until = time.monotonic() + _PATIENCE_SECONDS
    while left := in_sessions(wanted):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > until:
            return left
        time.sleep(0.05)
    return []
