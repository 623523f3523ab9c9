"""Write the generated blocks of README.md and docs/: the help of every verb, the table of settings.

A block stands between `<!-- generated: NAME -->` and `<!-- end -->`. `--check` writes nothing and fails where one differs.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer
from click.testing import CliRunner

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bal import cli  # noqa: E402 - found by the line above
from bal.config import described  # noqa: E402

WIDTH: Final = 98
"""What click leaves of a terminal that is 100 columns wide or wider (`bal.cli.app`)."""
FILES: Final = ("README.md", "docs/cli.md", "docs/settings.md")
_BLOCK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def command() -> Any:
    """Return the command line as click sees it."""
    cli._register()  # noqa: SLF001 - what `main` does first
    return typer.main.get_command(cli.app)


def commands(at: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command below `at`, groups before their members, in the order of the help."""
    for name in at.list_commands(None):
        member = at.commands[name]
        yield (*path, name)
        if hasattr(member, "commands"):
            yield from commands(member, (*path, name))


def help_text(root: Any, path: tuple[str, ...] = ()) -> str:
    """Return what `bal PATH --help` prints, `WIDTH` columns wide."""
    environment = {name: None for name in os.environ if name.startswith("BAL_")}
    result = CliRunner().invoke(
        root, [*path, "--help"], prog_name="bal", terminal_width=WIDTH, env=environment, color=False
    )
    if result.exit_code:
        raise SystemExit(f"bal {' '.join(path)} --help: {result.output}")
    return str(result.output).rstrip() + "\n"


def overview() -> str:
    """Return the help of `bal` itself."""
    return f"```text\n{help_text(command())}```\n"


def verbs() -> str:
    """Return the help of every command, each under its heading."""
    root = command()
    return "\n".join(
        f"{'#' * min(len(path) + 1, 3)} bal {' '.join(path)}\n\n```text\n{help_text(root, path)}```\n"
        for path in commands(root)
    )


def settings() -> str:
    """Return the table of settings."""
    rows = ["| setting | default | what it does |", "| --- | --- | --- |"]
    for name, default, text in described():
        rows.append(f"| `{name}` | `{json.dumps(default)}` | {text} |")
    return "\n".join(rows) + "\n"


BLOCKS: Final[dict[str, Callable[[], str]]] = {"help": overview, "verbs": verbs, "settings": settings}


def filled(text: str) -> str:
    """Return `text` with every generated block as it is to be."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n{match[3]}", text)


def names(text: str) -> list[str]:
    """Return the names of the generated blocks in `text`."""
    return [match[2] for match in _BLOCK.finditer(text)]


def main() -> int:
    """Write the blocks; with `--check` only tell whether they are right."""
    wrong = 0
    for name in FILES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        right = filled(text)
        if right == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{name} is not up to date: .venv/bin/python make/readme.py")
            wrong = 1
        else:
            path.write_text(right, encoding="utf-8")
            print(f"{name} written")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
