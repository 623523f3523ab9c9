"""The folder that keeps what has no receipt, so that a killed simulator goes on where it was."""

import json
import os
from dataclasses import replace
from pathlib import Path

from bal.core.errors import Conflict
from bal.simulate.plan import Outgoing, Plan, plan_from_json

_PLAN = "plan.json"
_NEXT = "next"


class Outbox:
    """Messages without a receipt, one file each, beside the plan they belong to.

    Survives the kill of the process at any moment (not a power cut: nothing is fsynced). A message is in its file before it
    is sent and stays there until its receipt is written down.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Open `folder`, made where missing. Raises `Conflict` when it belongs to another plan.

        A plan that differs in its start only goes on with the start of the folder.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        recorded = folder / _PLAN
        if recorded.exists():
            self.plan = plan_from_json(json.loads(recorded.read_text()))
            if type(self.plan) is not type(plan) or replace(plan, start=self.plan.start) != self.plan:
                message = "the outbox belongs to another simulation"
                raise Conflict(message, subject="simulate", remedy="use the same options, or another folder")
        else:
            self.plan = plan
            self._write(_PLAN, json.dumps(plan.to_json()).encode())

    def waiting(self) -> list[Outgoing]:
        """Return the messages without a receipt, in order."""
        found = []
        for path in sorted(self._folder.glob("[0-9]*.message")):
            number, form, device = path.name.removesuffix(".message").split(".")
            found.append(Outgoing(int(number), "pmu" if form == "pmu" else "cim", device, path.read_bytes()))
        return found

    def next_number(self) -> int:
        """Return the number of the first message that was never kept."""
        recorded = self._folder / _NEXT
        number = int(recorded.read_text()) if recorded.exists() else 0
        # The last one was kept, and the note of it perhaps not written any more.
        return max([number, *(message.number + 1 for message in self.waiting())])

    def keep(self, message: Outgoing) -> None:
        """Write down a message before it is sent."""
        self._write(self._name(message), message.payload)
        self._write(_NEXT, str(message.number + 1).encode())

    def drop(self, message: Outgoing) -> None:
        """Forget a message that has its receipt."""
        (self._folder / self._name(message)).unlink(missing_ok=True)

    @staticmethod
    def _name(message: Outgoing) -> str:
        return f"{message.number:09d}.{message.form}.{message.device}.message"

    def _write(self, name: str, content: bytes) -> None:
        new = self._folder / f"{name}.new"
        new.write_bytes(content)
        os.replace(new, self._folder / name)  # noqa: PTH105 - atomic, the name of the system call
