"""The CA of a stack, used by several servers' modules at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bal.durable import make_directory
from bal.pki import Authority
from bal.stack.layout import Layout


@contextmanager
def authority(layout: Layout) -> Iterator[Authority]:
    """Hold the CA of the stack as its one writer; made on first use. Not to be nested."""
    make_directory(layout.path)
    with (layout.path / "pki.lock").open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Authority.open(layout.pki) if Authority.exists(layout.pki) else Authority.create(layout.pki)


def issued(layout: Layout, name: str) -> tuple[Path, Path]:
    """Return certificate and key of an identity of the stack; issued when it has no valid one."""
    now = datetime.now(UTC)
    with authority(layout) as ca:
        paths = ca.client_paths(name)
        valid = any(each.name == name and each.kind == "client" and each.valid(now) for each in ca.list())
        if valid and all(path.exists() for path in paths):
            return paths
        return ca.issue_client(name, replace=True)
