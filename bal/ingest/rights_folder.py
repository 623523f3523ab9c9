"""The folder a Mosquitto broker has its rights and passwords from: parts of those who use it, and the merged files."""

import fcntl
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from bal.core.acl import acl_text, parse_acl
from bal.core.errors import Malformed, Misconfigured, Unavailable
from bal.core.names import check_name
from bal.core.topics import NO_RIGHTS, Rights
from bal.durable import SECRET, write_file
from bal.ingest.broker_process import BrokerProcess

ACL, PASSWORDS, PID, DENIED, REVOKED, TOLD = "acl", "passwords", "broker.pid", "denied", "revoked", "told"
EDITIONS: Final = "bal-rights"
"""First level of the topics that tell which edition of its files a broker has read; nothing else is published there."""
READ_SECONDS: Final = 30.0
"""How long a broker may take to read its files."""
_EDITION: Final = re.compile(r"^# edition (\S+)$", re.MULTILINE)
_REMEDY: Final = "check `mqtt.rights`: the folder is made by `bal stack up`, or by whoever runs the broker"
_POLL_SECONDS: Final = 0.02
_AGAIN_SECONDS: Final = 2.0

MayPublish = Callable[[str], bool]
"""Tells whether the broker takes what somebody named by a part publishes to a topic, now. `Unavailable`."""


class Revocation(Protocol):
    """What a certificate authority has revoked."""

    @property
    def crl_path(self) -> Path:
        """The revocation list that the broker reads."""
        ...

    def withdrawn(self) -> frozenset[str]:
        """Return whose certificates are all revoked."""
        ...


class RightsFolder:
    """`NAME.acl` and `NAME.passwords` of each user of a broker; `acl` and `passwords`, which the broker reads.

    Whatever the broker is to read anew comes with another *edition*: a topic that everybody named by a part may publish to,
    so that it can be seen whether the broker has read it; `acl` begins with it, `told` holds the last one the broker has.
    `broker.pid` names the broker's process, `denied` (one a line) whose rights are taken away whatever the parts say,
    `revoked` the digest of the revocation list. Everything is readable by its owner only. Blocking.
    """

    def __init__(self, path: Path, may_publish: MayPublish, asker: str) -> None:
        """Use the folder at `path`; `may_publish` asks the broker with the certificate of `asker`."""
        self.path = path
        self._may_publish = may_publish
        self._asker = asker
        self._process = BrokerProcess(path / PID)

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

    def put(self, name: str, part: str) -> None:
        """Write the part `name` and merge all parts. Called while `writing`; `tell` follows.

        Nothing but what `acl_text` writes reaches the broker: a list it cannot read ends Mosquitto 2.1.
        """
        parse_acl(part)
        self._write(f"{check_name(name)}.acl", part)
        self._merge()

    def remove(self, name: str) -> bool:
        """Remove rights and passwords of the part `name`; tell whether there were any. Called while `writing`; `tell` follows."""
        paths = [self.path / f"{check_name(name)}.{kind}" for kind in (ACL, PASSWORDS)]
        found = any(path.exists() for path in paths)
        for path in paths:
            path.unlink(missing_ok=True)
        self.merge_passwords()
        return found

    def users(self) -> dict[str, frozenset[str]]:
        """Return the user names with passwords of each part, by its name."""
        names = [path.stem for path in sorted(self.path.glob(f"*.{PASSWORDS}"))]
        return {name: frozenset(self.passwords(name)) for name in names}

    def passwords(self, name: str) -> dict[str, str]:
        """Return user names and hashed passwords of one part."""
        return dict(line.split(":", 1) for line in self._lines(f"{name}.passwords"))

    def put_passwords(self, name: str, hashes: dict[str, str]) -> None:
        """Write the passwords of a part and merge all. Called while `writing`; `tell` follows."""
        lines = "".join(f"{user}:{value}\n" for user, value in sorted(hashes.items()))
        self._write(f"{check_name(name)}.passwords", lines)
        self.merge_passwords()

    def merge_passwords(self) -> None:
        """Write `passwords` from the parts."""
        parts = sorted(self.path.glob("*.passwords"))
        self._write(PASSWORDS, "".join(path.read_text(encoding="utf-8") for path in parts))
        self._merge()

    def withdraw(self, revocation: Revocation) -> bool:
        """Take all rights from exactly those who have been revoked, let the broker read its revocation list; as `tell`.

        Mosquitto looks at the list when somebody connects: who is connected with a revoked certificate stays so, and
        without rights can do nothing.
        """
        with self.writing():
            self._write(DENIED, "".join(f"{name}\n" for name in sorted(revocation.withdrawn())))
            self._write(REVOKED, hashlib.sha256(revocation.crl_path.read_bytes()).hexdigest() + "\n")
            self._merge()
            return self.tell()

    def tell(self) -> bool:
        """Let the broker read what is new and return once it has; at once when it had. Called while `writing`.

        A broker that was told that the asker is revoked answers it no more: that it does not counts as its answer. False where no broker is: it reads what is there when it starts. `Unavailable` when one is there and does not
        read it. A broker of another machine or container is told by whoever watches `acl` there.
        """
        edition = self._edition()
        if self._lines(TOLD) == [edition]:
            return True
        end = time.monotonic() + READ_SECONDS
        # Elsewhere it is being told. Not more often than needed: each reading makes Mosquitto 2.0 forget what sessions
        # of clients that are away may read, until they are back.
        again = time.monotonic() + (0 if self._process.listens else _AGAIN_SECONDS)
        signalled, refused = False, self._asker in self._lines(DENIED)
        while True:
            has_read = self._has_read(edition)
            if has_read is None and not self._process.runs:
                return False
            if has_read or (has_read is None and refused and signalled):
                self._write(TOLD, f"{edition}\n")
                return True
            now = time.monotonic()
            if now > end:
                message = "the MQTT broker does not read its rights"
                remedy = "look at its log; they are in force once it was started again"
                raise Unavailable(message, subject=self.path.name, remedy=remedy)
            if now >= again:
                signalled = self._process.hang_up()
                if not signalled:
                    edition = self._merge(renew=True)  # another file for who watches it
                again = now + _AGAIN_SECONDS
            time.sleep(_POLL_SECONDS)

    def _has_read(self, edition: str) -> bool | None:
        """Tell whether the broker has read an edition; None when it does not answer."""
        try:
            return self._may_publish(f"{EDITIONS}/{edition}")
        except Unavailable:
            return None

    def _merge(self, *, renew: bool = False) -> str:
        """Write `acl` from the parts, of a new edition when anything the broker reads has changed; return the edition.

        An edition ends with a digest of what else belongs to it: a change that was interrupted here is found next time.
        """
        merged: dict[str, Rights] = {}
        parts = self.parts()
        for part in parts.values():
            for identity, rights in part.items():
                merged[identity] = merged.get(identity, NO_RIGHTS) | rights
        beside = hashlib.sha256()
        for name in (PASSWORDS, REVOKED):
            beside.update("".join(f"{line}\n" for line in [name, *self._lines(name)]).encode())
        end = beside.hexdigest()[:16]

        def text(edition: str) -> str:
            seen = dict(merged)
            for name in parts:
                seen[name] = seen.get(name, NO_RIGHTS) | Rights((f"{EDITIONS}/{edition}",), ())
            for denied in self._lines(DENIED):
                seen.pop(denied, None)
            return f"# edition {edition}\n{acl_text(seen)}"

        edition = self._edition()
        if renew or not edition.endswith(end) or self._read(ACL) != text(edition):
            edition = f"{secrets.token_hex(8)}-{end}"
            self._write(ACL, text(edition))
        return edition

    def _edition(self) -> str:
        """Return the edition of `acl`; empty before the first."""
        found = _EDITION.search(self._read(ACL))
        return found[1] if found else ""

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _lines(self, name: str) -> list[str]:
        return [line for line in self._read(name).splitlines() if line]

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        try:
            if not path.exists() or path.read_bytes() != text.encode():
                write_file(path, text.encode(), SECRET, replace=True)
        except OSError as error:
            message = "the folder of the broker's rights cannot be written"
            raise Misconfigured(message, subject=self.path.name, remedy=_REMEDY) from error
