"""The process of a Mosquitto broker on this machine: told by SIGHUP to read its files again (mosquitto(8))."""

import os
import signal
from pathlib import Path


class BrokerProcess:
    """The process that a broker's `pid_file` names; none when that is another program by now, or of another container."""

    def __init__(self, pid_file: Path) -> None:
        self._pid_file = pid_file

    @property
    def runs(self) -> bool:
        """Tell whether it is there."""
        return self._pid() is not None

    @property
    def listens(self) -> bool:
        """Tell whether it handles the signal: one that starts just now does not yet, and would be ended by it."""
        pid = self._pid()
        return pid is not None and _catches_hangup(pid)

    def hang_up(self) -> bool:
        """Send the signal; tell whether that was done. Mosquitto loses one that comes while it reads."""
        pid = self._pid()
        if pid is None or not _catches_hangup(pid):
            return False
        try:
            os.kill(pid, signal.SIGHUP)
        except (ProcessLookupError, PermissionError):  # ended just now; or of another user
            return False
        return True

    def _pid(self) -> int | None:
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, ValueError):
            return None
        return pid if name == "mosquitto" else None


def _catches_hangup(pid: int) -> bool:
    """Tell whether a process handles SIGHUP; proc_pid_status(5), `SigCgt`."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) & 1 << (signal.SIGHUP - 1))
