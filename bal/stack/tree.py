"""Files of a folder that servers write to meanwhile: what vanishes while it is looked at is not there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the regular files below a folder, each with its bytes; none when there is no such folder."""
    for place, _, names in os.walk(folder):  # passes over folders that are gone
        for name in names:
            path = Path(place, name)
            try:
                told = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(told.st_mode):
                yield path, told.st_size


def size(folder: Path) -> int:
    """Return how many bytes a folder's files have."""
    return sum(count for _, count in files(folder))
