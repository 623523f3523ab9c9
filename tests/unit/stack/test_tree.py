"""Folders are looked at beside the servers that write to them."""

import os
import threading
from pathlib import Path

from bal.stack import left
from bal.stack.layout import Layout
from bal.stack.tree import files, size


def test_bytes_are_those_of_regular_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "one")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert size(tmp_path) == 15
    assert sorted(path.name for path, _ in files(tmp_path)) == ["one", "two"]
    assert size(tmp_path / "none") == 0


def test_what_vanishes_meanwhile_is_not_there(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "cache")
    (tmp_path / "run").mkdir()
    (tmp_path / "stays").write_bytes(b"x")
    ended = threading.Event()

    def churn() -> None:
        while not ended.is_set():
            for number in range(50):
                (tmp_path / f"folder-{number}").mkdir()
                (tmp_path / f"folder-{number}" / "file").touch()
                layout.pid(f"p{number}").touch()
            for number in range(50):
                (tmp_path / f"folder-{number}" / "file").unlink()
                (tmp_path / f"folder-{number}").rmdir()
                layout.pid(f"p{number}").unlink()

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(300):
            assert size(tmp_path) == 1
            left.named(layout)
    finally:
        ended.set()
        writer.join()
