"""The sender's own record of what had a receipt: JSON Lines, the plan first, then one line a message."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from bal.core.errors import Conflict, Malformed
from bal.core.instant import instant_text
from bal.simulate.link import Answer
from bal.simulate.plan import Outgoing, Plan, plan_from_json


class Settled(NamedTuple):
    """One line of the record."""

    number: int
    digest: str
    accepted: bool
    at: str
    """When the sender learnt of it, canonical time."""
    attempts: int
    receipt: Mapping[str, Any]


class ReceiptFile:
    """The record being written. Every line is handed to the system at once: a killed sender has lost none."""

    def __init__(self, path: Path, plan: Plan) -> None:
        """Open `path` to append to it. Raises `Conflict` when it belongs to another plan."""
        self._plan = plan
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if content and not content.endswith(b"\n"):
            os.write(self._file, b"\n")
        if not content or b"\n" not in content:
            self._append({"plan": plan.to_json()})
        elif read_receipts(path)[0] != plan:
            os.close(self._file)
            message = "the record of receipts belongs to another simulation"
            raise Conflict(message, subject="simulate", remedy="use the same options, or another file")

    def record(self, message: Outgoing, answer: Answer, attempts: int, now: int) -> None:
        """Write down the answer to a message, with what it was about; `now` in microseconds UTC."""
        self._append(
            {
                "number": message.number,
                "digest": answer.digest,
                "accepted": answer.accepted,
                "at": instant_text(now),
                "attempts": attempts,
                "by": answer.by,
                "about": self._plan.describe(message.number),
                "receipt": dict(answer.body),
            }
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: Mapping[str, object]) -> None:
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")


def read_receipts(path: Path) -> tuple[Plan, list[Settled]]:
    """Return the plan of a record and its lines; a line torn by a kill is left out. Raises `Malformed`."""
    plan, lines = None, []
    for text in path.read_bytes().split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "plan" in line:
            plan = plan_from_json(line["plan"])
        else:
            lines.append(Settled(*(line[name] for name in Settled._fields)))
    if plan is None:
        message = "this is no record of receipts"
        raise Malformed(message, subject="simulate", remedy="use a file written with --receipts")
    return plan, lines
