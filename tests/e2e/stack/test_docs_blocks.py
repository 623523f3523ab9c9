"""The pages' blocks that need the real stack, run as they stand: one shell a page, in an empty folder."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_docs_blocks import environment
from tests.grid import Grid
from tests.unit.docs.pages import Block, blocks, page

pytestmark = pytest.mark.timeout(600)

PAGES = ["README.md", "docs/guide.md"]


def of_the_stack(name: str) -> list[Block]:
    return [block for block in blocks(name) if block.options.get("needs") == "stack"]


def said_by(name: str) -> list[str]:
    """Return what the comments right behind these blocks say is printed."""
    lines, words = [*page(name).splitlines(), ""], list[str]()
    for block in of_the_stack(name):
        number = block.line + block.text.count("\n")
        while (match := re.fullmatch(r"<!-- says: (.+) -->", lines[number])) is not None:
            words.append(match[1])
            number += 1
    return words


@pytest.mark.parametrize("name", PAGES)
def test_every_block_does_what_the_page_says(grid: Grid, name: str, tmp_path: Path) -> None:
    reader = tmp_path / "reader"
    reader.mkdir()
    for block in blocks(name):
        if "file" in block.options:
            (reader / block.options["file"]).write_text(block.text)
    assert len(of_the_stack(name)) >= 2
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(block.text for block in of_the_stack(name))],
        cwd=reader,
        env={**environment(tmp_path), "BAL_STACK": str(grid.layout.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert [words for words in said_by(name) if words not in done.stdout] == [], done.stdout
