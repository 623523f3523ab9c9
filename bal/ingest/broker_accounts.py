"""User names with passwords at a Mosquitto broker outside (mosquitto_passwd(1), hashes of form `$7$`)."""

import base64
import hashlib
import secrets

from bal.core.acl import is_grantable
from bal.core.errors import Conflict, Malformed
from bal.ingest.accounts import check_password
from bal.ingest.rights_folder import RightsFolder

ITERATIONS = 20_000
"""Of PBKDF2 with SHA-512, about 15 ms: the broker has one thread, stands still meanwhile, and counts at each connection
and again for everybody at each reload. Mosquitto's own tool takes 101 (2.0) or 1,000 (2.1)."""
SALT_BYTES = 12
"""Mosquitto 2.0 takes no other."""


def mosquitto_hash(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Return `$7$iterations$salt$hash`, salt and hash in base64: PBKDF2 with HMAC-SHA-512, 64 bytes."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, 64)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


class BrokerAccounts:
    """The accounts one BAL has at a broker. Blocking; the broker ends connections of accounts that are gone."""

    def __init__(self, folder: RightsFolder, identity: str) -> None:
        self.folder = folder
        self._identity = identity

    def put(self, name: str, password: str) -> None:
        """Add an account or change its password.

        Raises `Malformed` for a name that could be taken for another or a bad password, `Conflict` for a name that another BAL at the
        broker gave a password or rights to: whoever logs in by it would have those.
        """
        if not is_grantable(name) or ":" in name:
            message = "this user name is not allowed at the broker"
            raise Malformed(
                message, remedy="use 1 to 64 characters without '+', '#', ':', blanks at the ends"
            )
        check_password(password)
        hashed = mosquitto_hash(password, secrets.token_bytes(SALT_BYTES))
        with self.folder.writing():
            self._refuse_foreign(name)
            mine = self.folder.passwords(self._identity)
            if not _is_of(mine.get(name, ""), password):
                self.folder.put_passwords(self._identity, {**mine, name: hashed})
            self.folder.tell()

    def remove(self, name: str) -> None:
        """Remove an account; none is no harm."""
        with self.folder.writing():
            mine = self.folder.passwords(self._identity)
            kept = {user: value for user, value in mine.items() if user != name}
            self.folder.put_passwords(self._identity, kept)
            self.folder.tell()

    def _refuse_foreign(self, name: str) -> None:
        parts, users = self.folder.parts(), self.folder.users()
        for other in {*parts, *users} - {self._identity}:
            if name in users.get(other, ()) or name in parts.get(other, {}):
                message = "another BAL at this broker knows this user name"
                raise Conflict(message, subject=name, remedy="choose another name")


def _is_of(known: str, password: str) -> bool:
    """Tell whether `known` is a hash of `password`."""
    match known.split("$"):
        case ["", "7", iterations, salt, _]:
            return mosquitto_hash(password, base64.b64decode(salt), int(iterations)) == known
        case _:
            return False
