"""The folder a Mosquitto broker has its rights and passwords from: parts of those who use it, and the merged files."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bal.core.acl import acl_text, parse_acl
from bal.core.errors import Malformed, Misconfigured
from bal.core.names import check_name
from bal.core.topics import NO_RIGHTS, Rights
from bal.durable import SECRET, write_file

ACL, PASSWORDS, PID, DENIED = "acl", "passwords", "broker.pid", "denied"
_REMEDY: Final = "check `mqtt.rights`: the folder is made by `bal stack up`, or by whoever runs the broker"
_READY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_AGAIN_SECONDS: Final = 0.3


class RightsFolder:
    """`NAME.acl` and `NAME.passwords` of each user of a broker; `acl` and `passwords`, which the broker reads.

    `broker.pid` names the broker's process, `denied` (one a line) whose rights are taken away whatever the parts say.
    Everything is readable by its owner only. Blocking.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder as its one writer. Raises `Misconfigured` when it is not there."""
        try:
            file = (self.path / "lock").open("a", encoding="ascii")
        except OSError as error:
            message = "the folder of the broker's rights cannot be written"
            raise Misconfigured(message, subject=self.path.name, remedy=_REMEDY) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def parts(self) -> dict[str, dict[str, Rights]]:
        """Return what each part grants, by its name. Raises `Misconfigured` for one that cannot be read."""
        found = {}
        for path in sorted(self.path.glob("*.acl")):
            try:
                found[path.stem] = parse_acl(path.read_text(encoding="utf-8"))
            except (OSError, ValueError, Malformed) as error:
                message = "this part of the broker's rights cannot be used"
                raise Misconfigured(
                    message, subject=path.name, remedy="remove it; the BAL it is of writes it anew"
                ) from error
        return found

    def put(self, name: str, part: str) -> bool:
        """Write the part `name` and merge all parts; tell whether the broker has something new to read.

        Called while `writing`. Nothing but what `acl_text` writes reaches the broker: a list it cannot read ends
        Mosquitto 2.1.
        """
        parse_acl(part)
        self._write(f"{check_name(name)}.acl", part)
        return self.merge()

    def remove(self, name: str) -> bool:
        """Remove the part `name` and merge the others; tell whether there was one. Called while `writing`."""
        path = self.path / f"{check_name(name)}.acl"
        found = path.exists()
        path.unlink(missing_ok=True)
        self.merge()
        return found

    def deny(self, identities: frozenset[str]) -> bool:
        """Leave exactly these identities without rights; tell whether the list changed. Called while `writing`."""
        self._write(DENIED, "".join(f"{name}\n" for name in sorted(identities)))
        return self.merge()

    def withdraw(self, identities: frozenset[str]) -> None:
        """Take all rights from exactly these identities, and let the broker read its revocation list again.

        Mosquitto looks at the list when somebody connects: who is connected with a revoked certificate stays so, and
        without rights can do nothing.
        """
        with self.writing():
            self.deny(identities)
        self.reload()

    def merge(self) -> bool:
        """Write `acl` from the parts; tell whether it changed."""
        merged: dict[str, Rights] = {}
        for part in self.parts().values():
            for identity, rights in part.items():
                merged[identity] = merged.get(identity, NO_RIGHTS) | rights
        for denied in self._lines(DENIED):
            merged.pop(denied, None)
        return self._write(ACL, acl_text(merged))

    def passwords(self, name: str) -> dict[str, str]:
        """Return user names and hashed passwords of one part."""
        return dict(line.split(":", 1) for line in self._lines(f"{name}.passwords"))

    def put_passwords(self, name: str, hashes: dict[str, str]) -> bool:
        """Write the passwords of a part and merge all; tell whether the broker has something new to read."""
        lines = "".join(f"{user}:{value}\n" for user, value in sorted(hashes.items()))
        self._write(f"{check_name(name)}.passwords", lines)
        return self.merge_passwords()

    def merge_passwords(self) -> bool:
        """Write `passwords` from the parts; tell whether it changed."""
        parts = sorted(self.path.glob("*.passwords"))
        return self._write(PASSWORDS, "".join(path.read_text(encoding="utf-8") for path in parts))

    def reload(self) -> bool:
        """Let the broker read its rights, passwords, certificates and revocation list again; tell whether one runs here.

        A broker of another machine or container is told by whoever watches `acl` there.
        """
        end = time.monotonic() + _READY_SECONDS
        while (pid := self._broker()) is not None:
            if _catches_hangup(pid):
                self._hang_up(pid)
                # One that comes while it reads is lost to Mosquitto: once more. Not later again: each reading makes
                # Mosquitto 2.0 forget what sessions of clients that are away may read, until they are back.
                time.sleep(_AGAIN_SECONDS)
                self._hang_up(pid)
                return True
            if time.monotonic() > end:
                break
            time.sleep(_POLL_SECONDS)  # it starts just now: the signal would end it
        return False

    def _hang_up(self, pid: int) -> None:
        if self._broker() == pid and _catches_hangup(pid):
            os.kill(pid, signal.SIGHUP)

    def _broker(self) -> int | None:
        """Return the broker's process id; None when that is another process by now."""
        try:
            pid = int((self.path / PID).read_text(encoding="ascii"))
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except (OSError, ValueError):
            return None
        return pid if name == "mosquitto" else None

    def _lines(self, name: str) -> list[str]:
        try:
            return [line for line in (self.path / name).read_text(encoding="utf-8").splitlines() if line]
        except FileNotFoundError:
            return []

    def _write(self, name: str, text: str) -> bool:
        path = self.path / name
        try:
            if path.exists() and path.read_bytes() == text.encode():
                return False
            write_file(path, text.encode(), SECRET, replace=True)
        except OSError as error:
            message = "the folder of the broker's rights cannot be written"
            raise Misconfigured(message, subject=self.path.name, remedy=_REMEDY) from error
        return True


def _catches_hangup(pid: int) -> bool:
    """Tell whether a process handles SIGHUP; proc_pid_status(5), `SigCgt`."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) & 1 << (signal.SIGHUP - 1))
