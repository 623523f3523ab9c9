"""Files of CQL statements: numbered, told apart by their bytes, split where CQL ends a statement."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bal.core.errors import Misconfigured

_FILE: Final = re.compile(r"(\d{4})-([a-z0-9-]+)\.cql")
# What may hold a ';' that ends nothing, or is to be left out. Source: CQL 3.4.7, sections on constants and comments.
_TOKEN: Final = re.compile(
    r"(?P<comment>--[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<quoted>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$)|(?P<end>;)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file `NNNN-title.cql`."""

    number: int
    title: str
    checksum: str
    """SHA-256 of the file, hex."""
    statements: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return number and title as the file has them."""
        return f"{self.number:04}-{self.title}"


def read_migrations(folder: Path) -> Sequence[Migration]:
    """Return the migrations of a folder in order. `Misconfigured` when one is missing, doubled, or misnamed."""
    found = [_read(path) for path in sorted(folder.glob("*.cql"))]
    for number, migration in enumerate(found):
        if migration.number != number:
            message = "migrations are numbered on from 0000, none left out and none twice"
            raise Misconfigured(message, subject=migration.name, remedy="give it the next number")
    if not found:
        message = "there are no migrations"
        raise Misconfigured(message, subject=folder.name, remedy="install this program again")
    return found


def split(text: str) -> list[str]:
    """Return the statements of a CQL text without comments and without the semicolons that end them."""
    statements, current, at = [], "", 0
    for token in _TOKEN.finditer(text):
        current += text[at : token.start()]
        at = token.end()
        if token["quoted"]:
            current += token["quoted"]
        elif token["end"]:
            statements.append(current.strip())
            current = ""
        else:
            current += " "
    statements.append((current + text[at:]).strip())
    return [statement for statement in statements if statement]


def _read(path: Path) -> Migration:
    named = _FILE.fullmatch(path.name)
    if named is None:
        message = "a migration is named NNNN-title.cql"
        raise Misconfigured(message, subject=path.name, remedy="rename it")
    content = path.read_bytes()
    return Migration(
        int(named[1]), named[2], hashlib.sha256(content).hexdigest(), tuple(split(content.decode()))
    )
