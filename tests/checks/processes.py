"""Starts `bal` as its users do, kills it, and looks for what it left running."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from bal.stack.ports import candidates, is_free
from tests.patience import PATIENCE

BAL = (sys.executable, "-m", "bal")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, none of those that connections are given while a server is away."""
    return next(port for port in candidates(Path(token_hex(8))) if is_free(port))


def bal(
    home: Path, *arguments: str, stdin: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end."""
    return subprocess.run(
        [*BAL, *arguments], input=stdin, capture_output=True, env=_environment(home, environment), check=False
    )


def _environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "BAL_HOME": str(home), **more}


class Command:
    """A `bal` command that goes on until it is stopped or killed; its standard error goes to a file."""

    def __init__(self, home: Path, log: Path, *arguments: str, **environment: str) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [*BAL, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(home, environment),
            start_new_session=True,
        )

    def first_line(self) -> dict[str, Any]:
        """Return the first line it prints: what `bal run --json` says once it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(
                f"it ended with {self.process.wait()}: {Path(self._log.name).read_text()[-2000:]}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End the one process, as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.terminate()
        return self._end()

    def wait(self) -> tuple[int, bytes]:
        """Wait for its end; return exit code and output."""
        out, _ = self.process.communicate(timeout=4 * PATIENCE)
        self._log.close()
        return self.process.returncode, out

    def _end(self) -> int:
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        elif self.process.stdout is not None:
            self._end()


def of_home(home: Path) -> list[int]:
    """Return the processes, this one left out, that were started for a home: it stands in their environment."""
    wanted = f"BAL_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if wanted in environment and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


async def all_ended(home: Path) -> None:
    """Wait until no process of a home is left."""
    until = time.monotonic() + PATIENCE
    while left := of_home(home):
        names = [
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            for pid in left
            if Path(f"/proc/{pid}").exists()
        ]
        assert time.monotonic() < until, f"still running: {names}"
        await asyncio.sleep(0.05)


def memory(pid: int) -> int:
    """Return the resident bytes of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        resident[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGESIZE")
    total, left = 0, [pid]
    while left:
        one = left.pop()
        total += resident.get(one, 0)
        left += children.get(one, [])
    return total
