"""Help in the pages is the program's, word by word, and every verb is told of."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from make import readme
from tests.unit.docs.pages import ROOT, code, page, rows, section


@pytest.fixture(scope="module")
def root() -> Any:
    return readme.command()


@pytest.mark.parametrize("name", readme.FILES)
def test_generated_blocks_are_up_to_date(name: str) -> None:
    text = page(name)
    assert readme.names(text) != []
    assert text == readme.filled(text), "run .venv/bin/python make/readme.py"


def test_every_verb_has_its_heading(root: Any) -> None:
    told = re.findall(r"^#{2,3} (bal .+)$", page("docs/cli.md"), re.MULTILINE)
    assert told == [f"bal {' '.join(path)}" for path in readme.commands(root)]


def test_the_readme_lists_every_verb(root: Any) -> None:
    told = {code(cells[0]).removeprefix("bal ") for cells in rows(section(page("README.md"), "## Commands"))}
    assert told == set(root.list_commands(None))


def test_help_is_what_the_program_prints() -> None:
    program = "import sys; sys.argv[0] = 'bal'; from bal.cli import main; main()"
    environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    said = subprocess.run(
        [sys.executable, "-c", program, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert f"```text\n{said.stdout.rstrip()}\n```" in page("README.md")


def test_every_verb_takes_json(root: Any) -> None:
    without = []
    for path in readme.commands(root):
        at = root
        for name in path:
            at = at.commands[name]
        if not hasattr(at, "commands") and not any("--json" in each.opts for each in at.params):
            without.append(" ".join(path))
    assert without == []
