"""Markdown pages taken apart: fenced blocks, tables, headings, links."""

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[3]
_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, what else its info string says (`name=value`), its text, its first line's number."""

    language: str
    options: dict[str, str]
    text: str
    line: int


def page(name: str) -> str:
    """Return the text of a page by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def pages() -> list[str]:
    """List every page that users read."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def blocks(name: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page(name)
    found = []
    for match in _FENCE.finditer(text):
        language, *rest = match[1].split() or [""]
        options = {name: value for name, _, value in (word.partition("=") for word in rest)}
        found.append(Block(language, options, match[2], text.count("\n", 0, match.start()) + 2))
    return found


def example(name: str, what: str) -> str:
    """Return the text of the one block of a page with `example=what`."""
    (found,) = [block.text for block in blocks(name) if block.options.get("example") == what]
    return found


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next of the same or a higher level."""
    level = heading.split(" ", 1)[0]
    (_, _, rest) = text.partition(f"{heading}\n")
    assert rest, f"there is no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def prose(text: str) -> str:
    """Return text as one line, however it is wrapped."""
    return re.sub(r"\s+", " ", text)


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row in `text`, without headings."""
    found: list[list[str]] = []
    table: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("| "):
            table.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif table:
            found += table[2:]
            table = []
    return found


def code(cell: str) -> str:
    """Return what stands between the backticks of a cell."""
    match = re.fullmatch(r"`([^`]*)`", cell.strip())
    assert match is not None, f"{cell!r} is not in backticks"
    return match[1]


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    plain = _FENCE.sub("", text)
    headings = re.findall(r"^#{1,6} (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Return the targets of the links of a page, code left out."""
    plain = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return re.findall(r"\]\(([^)\s]+)\)", plain)
