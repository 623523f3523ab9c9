"""User names with passwords, for clients that cannot have a certificate."""

import asyncio
import secrets
from pathlib import Path

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from bal.core.errors import Malformed, Misconfigured, NotFound
from bal.core.names import check_name
from bal.durable import SECRET, write_file

PASSWORD_CHARACTERS = 512
"""Longest password looked at."""


def check_password(password: str) -> None:
    """Raise `Malformed` for a password that is too short or too long."""
    if not 12 <= len(password) <= PASSWORD_CHARACTERS:
        message = "the password is too short or too long"
        raise Malformed(message, remedy=f"use 12 to {PASSWORD_CHARACTERS} characters")


class Accounts:
    """The accounts in a file of lines `name:argon2 hash` (0600), read again whenever it has changed.

    Raises `Misconfigured` when the file is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = PasswordHash((Argon2Hasher(),))
        self._nobody = ""
        self._stamp: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}
        # Hashing costs 64 MiB and tens of milliseconds of a core: one at a time.
        self._turn = asyncio.Semaphore(1)

    def names(self) -> list[str]:
        """Return the user names."""
        return sorted(self._read())

    def put(self, name: str, password: str) -> None:
        """Add an account or change its password; raise `Malformed` for a bad name or password."""
        check_password(password)
        self._write({**self._read(), check_name(name): self._hash.hash(password)})

    def remove(self, name: str) -> None:
        """Remove an account; raise `NotFound`."""
        hashes = self._read()
        if name not in hashes:
            message = "there is no such account"
            raise NotFound(message, remedy="see the accounts there are")
        self._write({user: value for user, value in hashes.items() if user != name})

    async def verify(self, name: str, password: str) -> bool:
        """Tell whether `password` is `name`'s."""
        if len(password) > PASSWORD_CHARACTERS:
            return False
        known = self._read().get(name)
        async with self._turn:
            right = await asyncio.to_thread(self._matches, password, known)
        return right and known is not None

    def has(self, name: str) -> bool:
        """Tell whether the account exists."""
        return name in self._read()

    def _matches(self, password: str, known: str | None) -> bool:
        if not self._nobody:
            self._nobody = self._hash.hash(secrets.token_hex(16))
        try:
            return self._hash.verify(password, known or self._nobody)  # somebody unknown costs as much time
        except PwdlibError:
            return False

    def _read(self) -> dict[str, str]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._hashes = None, {}
            return self._hashes
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp != self._stamp:
            try:
                lines = self._path.read_text(encoding="utf-8").splitlines()
                self._hashes = dict(line.split(":", 1) for line in lines if line)
            except (OSError, ValueError) as error:
                message = "the accounts cannot be read"
                raise Misconfigured(message, subject=self._path.name, remedy="restore the file") from error
            self._stamp = stamp
        return self._hashes

    def _write(self, hashes: dict[str, str]) -> None:
        lines = (f"{name}:{value}\n" for name, value in sorted(hashes.items()))
        write_file(self._path, "".join(lines).encode(), SECRET, replace=True)
