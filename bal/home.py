"""The home: the folder of one BAL, its files, and the lock that says who writes it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bal.core.errors import HomeLocked, Misconfigured, NotFound


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one BAL lies."""

    path: Path

    @property
    def scd(self) -> Path:
        """The embedded Shared Customer Database."""
        return self.path / "scd.sqlite"

    @property
    def quarantine(self) -> Path:
        """What was refused, encrypted."""
        return self.path / "quarantine.sqlite"

    @property
    def ledger(self) -> Path:
        """Folder of the embedded ledger."""
        return self.path / "ledger"

    @property
    def keys(self) -> Path:
        """Folder of the operator's keys."""
        return self.path / "keys"

    @property
    def pki(self) -> Path:
        """Folder of the development CA and its certificates."""
        return self.path / "pki"

    @property
    def out(self) -> Path:
        """Folder of the JSON Lines output."""
        return self.path / "out"

    @property
    def clients(self) -> Path:
        """The gateway's clients, their secrets hashed."""
        return self.path / "clients.json"

    @property
    def accounts(self) -> Path:
        """The field broker's users, their passwords hashed."""
        return self.path / "accounts.json"

    @property
    def running(self) -> Path:
        """What a running service says of itself."""
        return self.path / "run.json"

    def create(self) -> "Home":
        """Make the folder on first use, for its owner only. `Misconfigured` when that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = f"this folder cannot be made ({error.strerror})"
            raise Misconfigured(
                message, subject=self.path.name, remedy="name another home with --home"
            ) from error
        return self

    def existing(self) -> "Home":
        """Return the home if anything was ever stored in it, or elsewhere from it; `NotFound` otherwise."""
        if not (self.scd.exists() or self.keys.exists()):
            message = "there is no BAL in this folder"
            raise NotFound(message, subject=self.path.name, remedy="name its home with --home or BAL_HOME")
        return self

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home as its one writer. `HomeLocked` names the process that does.

        The lock is the kernel's (`flock`): it ends with the process, however it ends.
        """
        self.create()
        with (self.path / "lock").open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip()
                message = f"another process writes this home (process {holder})"
                raise HomeLocked(
                    message, subject=self.path.name, remedy="wait for it to end, or stop it"
                ) from error
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def announce(self, facts: dict[str, Any]) -> None:
        """Write what the running service says of itself, in one step."""
        beside = self.running.with_suffix(".new")
        beside.write_text(json.dumps({"pid": os.getpid(), **facts}), encoding="utf-8")
        beside.chmod(0o600)
        beside.replace(self.running)

    def announced(self) -> dict[str, Any] | None:
        """Return what the running service says of itself; None when none runs."""
        try:
            facts: dict[str, Any] = json.loads(self.running.read_text(encoding="utf-8"))
            os.kill(facts["pid"], 0)
        except (OSError, ValueError, KeyError):
            return None
        return facts if self._holder() == str(facts["pid"]) else None

    def _holder(self) -> str:
        """Return the process that holds the home; empty when none does."""
        try:
            with (self.path / "lock").open("r", encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip()
                return ""
        except (OSError, ValueError):
            return ""
