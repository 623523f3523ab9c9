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
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, Block, blocks, page

PAGES = ["README.md", "docs/guide.md", "docs/verify.md"]
SECONDS = 110
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


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


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
        "BAL_MQTT__PORT": free_port(),
        "BAL_GATEWAY__PORT": free_port(),
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


@pytest.mark.parametrize("name", PAGES)
def test_every_block_does_what_the_page_says(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    for block in blocks(name):
        if "file" in block.options:
            (folder / block.options["file"]).write_text(block.text)
    (tmp_path / "script").write_text(script(name))
    with (tmp_path / "said").open("w+") as said:
        shell = subprocess.Popen(
            ["bash", tmp_path / "script"],
            cwd=folder,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            shell.wait(SECONDS)
        finally:
            # The session is this test's own: nothing else is in it.
            left = still_there(shell.pid)
            if left:
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        said.seek(0)
        text = said.read()
    ended = outcome((folder / "marks").read_text())
    wanted = [(block.line, int(block.options.get("exit", "0"))) for block in runnable(name)]
    assert [(line, code) for line, code, _ in ended] == wanted, text
    strange = {line: failed for line, code, failed in ended if len(failed) > (1 if code else 0)}
    assert strange == {}, text
    assert [words for words in said_by(name) if words not in text] == [], text
    assert not left, "a page leaves something running"


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
    for _ in range(100):
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
