"""Files that are whole or not there, readable by their owner only."""

import os
import secrets
from pathlib import Path

SECRET = 0o600
PUBLIC = 0o644


def make_directory(path: Path) -> None:
    """Make `path` and what leads to it, closed to others (0700); one that exists is closed to others as well."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_file(path: Path, content: bytes, mode: int, *, replace: bool = False) -> None:
    """Write `content` to `path` durably in one step: a reader sees the old file or the new one.

    Raises `FileExistsError` when there is one and `replace` was not asked for.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.rename(path)
        else:
            os.link(temporary, path)  # fails where a rename would overwrite
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
