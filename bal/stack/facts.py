"""What runs where: the one file of a stack that those outside read."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from bal.core.errors import Misconfigured
from bal.durable import SECRET, make_directory, write_file
from bal.stack.layout import Layout

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """Ports and facts of the servers of one stack. No secret."""

    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    """Server -> name -> port, from the first start on."""
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Server -> what `Server.facts` said when it was last started."""

    @classmethod
    def read(cls, layout: Layout) -> "Facts":
        """Return the facts of a stack; empty ones before its first start. Raises `Misconfigured`."""
        try:
            found = json.loads(layout.facts.read_text(encoding="utf-8"))
            if found["version"] != VERSION:
                raise ValueError
            return cls(found["ports"], found["servers"])
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = "the file that says what runs where cannot be read"
            raise Misconfigured(
                message, subject=layout.facts.name, remedy="`bal stack down`, remove the file, `bal stack up`"
            ) from error

    def write(self, layout: Layout) -> None:
        """Write the facts in one step; nothing when they are the same already."""
        told = {"version": VERSION, "ports": self.ports, "servers": self.servers}
        content = (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()
        make_directory(layout.path)
        if not layout.facts.exists() or layout.facts.read_bytes() != content:
            write_file(layout.facts, content, SECRET, replace=True)
