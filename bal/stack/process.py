"""One server process: started beside us, found again by its process id, stopped by it and by nothing else."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bal.core.errors import Unavailable
from bal.stack.layout import Layout
from bal.stack.slack import timer_slack

_POLL_SECONDS = 0.05
_TAIL_BYTES = 4096
_LOG_BYTES = 32 * 1024**2
# A server is given what it needs to run, not the secrets and settings of whoever started it.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "JDK_JAVA_OPTIONS")


@dataclass(frozen=True, slots=True)
class Process:
    """A server process of a stack."""

    name: str
    argv: Sequence[str]
    layout: Layout
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    timer_slack: int = 0
    """By how many nanoseconds its waits for a time may be longer than it asked; 0 leaves that to the kernel."""

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs, None when it does not: an id that another process has now is none."""
        try:
            number, started = self.layout.pid(self.name).read_text(encoding="ascii").split()
            pid = int(number)
        except (OSError, ValueError):
            return None
        return pid if _started(pid) == started else None

    def start(self) -> None:
        """Start it unless it runs. A log that has grown large is put aside, one before it thrown away."""
        if self.pid is not None:
            return
        for file in (self.layout.log(self.name), self.layout.pid(self.name)):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log_path = self.layout.log(self.name)
        if log_path.exists() and log_path.stat().st_size > _LOG_BYTES:
            log_path.replace(log_path.with_suffix(".old"))
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with log_path.open("ab") as log, timer_slack(self.timer_slack):
            running = subprocess.Popen(  # noqa: S603 - what to run comes from this room
                list(self.argv),
                cwd=self.directory or self.layout.path,
                env={**inherited, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running.returncode = (
            0  # it outlives us and is found again by its id: nobody is to wait for this object
        )
        self.layout.pid(self.name).write_text(f"{running.pid} {_started(running.pid)}\n", encoding="ascii")

    def signal(self, number: int) -> None:
        """Send a signal to it if it runs."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to end, wait, end it by force after `seconds`; return once it is gone."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
            self.signal(number)
            if self.wait(patience):
                self.layout.pid(self.name).unlink(missing_ok=True)
                return
        message = "this process does not end"
        raise Unavailable(message, subject=self.name, remedy=f"look at process {self.pid}")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.signal(signal.SIGKILL)
        self.wait(10.0)

    def wait(self, seconds: float) -> bool:
        """Return once it has ended, at most after `seconds`; tell whether it has."""
        end = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def tail(self) -> str:
        """Return the end of what it printed."""
        try:
            return self.layout.log(self.name).read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""


def _started(pid: int) -> str:
    """Return when a process began, in ticks since boot; empty when it does not run or is a zombie.

    While other threads of a killed process are still ending, its first one is a zombie already and its ports are still
    taken: it counts as running. Source: proc_pid_stat(5), fields 3 and 22; the name in field 2 may hold blanks.
    """
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        threads = len(list(Path(f"/proc/{pid}/task").iterdir())) if fields[0] == "Z" else 0
    except OSError:
        return ""
    if fields[0] == "Z" and threads <= 1:
        _reap(pid)
        return ""
    return fields[19]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
