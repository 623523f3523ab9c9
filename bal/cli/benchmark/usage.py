"""What processes and folders use, as the kernel tells it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bal.stack.tree import size

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of all it started, user and system; 0 when it is gone.

    Source: proc_pid_stat(5), fields 14 to 17; the name in field 2 may hold blanks.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS + sum(map(cpu_seconds, _children(pid)))


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.update(map(int, file.read_text(encoding="ascii").split()))
        except OSError:
            continue
    return found


def machine_busy() -> float:
    """Return the CPU seconds that all processors have worked since boot (proc_stat(5)), of whatever process."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / _TICKS


def bytes_in(folders: Iterable[Path]) -> int:
    """Return the sum of the sizes of all files in folders."""
    return sum(map(size, folders))
