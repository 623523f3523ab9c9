"""The pages' code blocks, run as they stand: one shell from the first block to the last, in an empty folder.

A block runs when its language is `sh`; any other is only read. Its info string may say `exit=N` (what its last command
answers), `needs=PROGRAM` (left out where that is not installed). Blocks with `file=NAME` are saved under that name first,
as the text beside them tells the reader. No command but the last of an `exit=N` block may fail. What a page says that
is printed stands in a comment `<!-- says: TEXT -->`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.processes import free_port
from tests.patience import PATIENCE
from tests.unit.docs.pages import ROOT, Block, blocks, page

PAGES = ["README.md", "docs/guide.md", "docs/verify.md"]
SECONDS = 500
"""Longest time a page may take beside the others, on a machine that does something else too."""
pytestmark = pytest.mark.timeout(600)
# Failures are written down as they happen; `trap` sees none that the reader handles himself (`until`, `||`).
PRELUDE = r"""
mark() { printf '%s\n' "$*" >> marks; }
trap 'mark failed "$?" "$BASH_COMMAND"' ERR
"""


def runnable(name: str) -> list[Block]:
    return [block for block in blocks(name) if block.language == "sh" and present(block)]


def present(block: Block) -> bool:
    return "needs" not in block.options or shutil.which(block.options["needs"]) is not None


def script(name: str) -> str:
    parts = [
        f"mark block {block.line}\n{block.text}status=$?; trap - ERR\nmark ended $status\n{PRELUDE}"
        for block in runnable(name)
    ]
    return "".join([PRELUDE, *parts, "mark done\n"])


def environment(folder: Path) -> dict[str, str]:
    """Give what a reader has after `make demo`: `bal` and this Python on the path, ports that are free."""
    programs = folder / "bin"
    programs.mkdir()
    # As pip writes it: worker processes load the main module again, so the guard matters.
    (programs / "bal").write_text(
        f"#!{sys.executable}\nimport sys\nfrom bal.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    (programs / "bal").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BAL_")}
    return {
        **kept,
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), kept["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "BAL_MQTT__PORT": str(free_port()),
        "BAL_GATEWAY__PORT": str(free_port()),
    }


def outcome(marks: str) -> list[tuple[int, int, list[str]]]:
    """Return (line, exit code, failed commands) of every block that was run to its end."""
    found: list[tuple[int, int, list[str]]] = []
    line, failed = 0, list[str]()
    for mark in marks.splitlines():
        word, _, rest = mark.partition(" ")
        if word == "block":
            line, failed = int(rest), []
        elif word == "failed":
            failed.append(rest)
        elif word == "ended":
            found.append((line, int(rest), failed))
    return found


class Reader:
    """Somebody who types a page's blocks, in a folder and a shell of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self._folder = folder / "reader"
        self._folder.mkdir(parents=True)
        for block in blocks(name):
            if "file" in block.options:
                (self._folder / block.options["file"]).write_text(block.text)
        (folder / "script").write_text(script(name))
        self._said = folder / "said"
        with self._said.open("w") as said:
            self._shell = subprocess.Popen(
                ["bash", folder / "script"],
                cwd=self._folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._ended = False
        self.left = False
        """Whether something was still running when the shell had ended."""

    def end(self) -> None:
        """Wait for the shell, then end what it left behind: its session is this reader's own."""
        if self._ended:
            return
        try:
            self._shell.wait(SECONDS)
        finally:
            self._ended = True
            self.left = still_there(self._shell.pid)
            if self.left:
                os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()

    @property
    def said(self) -> str:
        return self._said.read_text()

    def outcome(self) -> list[tuple[int, int, list[str]]]:
        return outcome((self._folder / "marks").read_text())


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Reader]]:
    """Start on all pages at once: they have nothing to do with each other, and there is more than one core."""
    started: dict[str, Reader] = {}
    try:
        for name in PAGES:
            started[name] = Reader(name, tmp_path_factory.mktemp("page"))
        yield started
    finally:
        for reader in started.values():
            reader.end()


@pytest.mark.parametrize("name", PAGES)
def test_every_block_does_what_the_page_says(name: str, readers: dict[str, Reader]) -> None:
    reader = readers[name]
    reader.end()
    ended, text = reader.outcome(), reader.said
    wanted = [(block.line, int(block.options.get("exit", "0"))) for block in runnable(name)]
    assert [(line, code) for line, code, _ in ended] == wanted, text
    strange = {line: failed for line, code, failed in ended if len(failed) > (1 if code else 0)}
    assert strange == {}, text
    assert [words for words in said_by(name) if words not in text] == [], text
    assert not reader.left, "a page leaves something running"


def said_by(name: str) -> list[str]:
    """Return what the comments right behind the blocks that are run say is printed."""
    lines, words = [*page(name).splitlines(), ""], list[str]()
    for block in runnable(name):
        number = block.line + block.text.count("\n")
        while (match := re.fullmatch(r"<!-- says: (.+) -->", lines[number])) is not None:
            words.append(match[1])
            number += 1
    return words


def still_there(group: int) -> bool:
    """Tell whether a process group has members; those about to end get a moment."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_blocks_that_are_run(name: str) -> None:
    assert len(runnable(name)) >= 2
    assert len(said_by(name)) >= 2
