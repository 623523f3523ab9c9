"""Where everything of a stack lies: the cache of what is downloaded and built, the folder of what runs."""

import os
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "XDG_CACHE_HOME"
DATA_VARIABLE = "XDG_DATA_HOME"


def cache_path() -> Path:
    """Return the folder of downloaded and built servers, shared by all stacks of a user."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache") / "bal" / "stack"


def default_stack() -> Path:
    """Return the folder a stack runs in when none is named."""
    return Path(os.environ.get(DATA_VARIABLE) or Path.home() / ".local" / "share") / "bal" / "stack"


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders and files of one stack. Whatever is secret in it is readable by its owner only."""

    path: Path
    cache: Path

    @property
    def facts(self) -> Path:
        """What runs where: `Facts` as JSON, the one file that those outside read."""
        return self.path / "stack.json"

    @property
    def pki(self) -> Path:
        """CA of Cassandra, Kafka and Mosquitto, of their clients and of the field devices (`bal.pki.Authority`)."""
        return self.path / "pki"

    @property
    def clients(self) -> Path:
        """Secrets of those who use the stack that are no certificates: one file each, a password on one line."""
        return self.path / "clients"

    @property
    def guests(self) -> Path:
        """Who was admitted: one file each (`bal.stack.guests`)."""
        return self.path / "guests"

    def server(self, name: str) -> Path:
        """Return the folder of one server: its configuration and its data."""
        return self.path / name

    def log(self, process: str) -> Path:
        """Return the file that takes what a process prints."""
        return self.path / "logs" / f"{process}.log"

    def pid(self, process: str) -> Path:
        """Return the file that says which process runs."""
        return self.path / "run" / f"{process}.pid"
