"""Room on this machine for servers, taken together: disk for what is installed, memory for what is started."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bal.stack.server import Missing, Server

_MIB: Final = 1024**2


def disk(servers: Sequence[Server], path: Path) -> Missing | None:
    """Return what lacks when less is free where `path` is, or will be, than these servers take together."""
    wanted, free = sum(server.disk for server in servers), free_disk(path)
    if free >= wanted:
        return None
    return Missing(
        f"{wanted} MiB of disk for {_names(servers)}",
        f"{free} MiB free",
        f"make room on the file system of {path}",
    )


def memory(servers: Sequence[Server]) -> Missing | None:
    """Return what lacks when less memory is available than these servers, none of which runs, take together."""
    wanted, available = sum(server.memory for server in servers), available_memory()
    if available is None or available >= wanted:
        return None
    return Missing(
        f"{wanted} MiB of memory for {_names(servers)}", f"{available} MiB available", "end other programs"
    )


def free_disk(path: Path) -> int:
    """Return what is free where `path` is, or will be, MiB."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free // _MIB


def available_memory() -> int | None:
    """Return the memory that can be had without swapping, MiB; None where the kernel does not tell.

    Source: proc_meminfo(5), MemAvailable.
    """
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _names(servers: Sequence[Server]) -> str:
    return ", ".join(server.name for server in servers)
