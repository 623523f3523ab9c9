"""OAuth2 clients: who may come to the gateway, what for, and whose readings they see."""

import json
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from bal.core.errors import Conflict, Malformed, Misconfigured, NotFound
from bal.core.names import check_name
from bal.durable import SECRET, write_file
from bal.gateway.scopes import INGEST, SCOPES
from bal.ports import Clock

ANY_SOURCE: Final = "*"
"""Granted in place of names: every source, also those registered later."""
SECRET_CHARACTERS: Final = 512
"""Longest secret looked at; ours have 43."""
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Client:
    """A client as registered. `key` is drawn anew with each registration, so that tokens of an earlier one end."""

    name: str
    scopes: tuple[str, ...]
    sources: tuple[str, ...]
    """Sources it sees; `*` is every one."""
    ingest_as: str
    """The source it sends as; empty for none."""
    created_at: int
    """Microseconds UTC."""
    key: str
    secret_hash: str = field(repr=False)

    def may_read(self, source: str) -> bool:
        """Tell whether the client sees `source`."""
        return source in self.sources or ANY_SOURCE in self.sources

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown of it."""
        return {
            "name": self.name,
            "scopes": list(self.scopes),
            "sources": list(self.sources),
            "ingest_as": self.ingest_as,
            "created_at": self.created_at,
        }


class Clients:
    """The clients in a JSON file (0600), secrets hashed with argon2; read again whenever the file has changed.

    Raises `Misconfigured` when the file is there and cannot be read.
    """

    def __init__(self, path: Path, clock: Clock, hasher: Argon2Hasher | None = None) -> None:
        self._path = path
        self._clock = clock
        self._hash = PasswordHash((hasher or Argon2Hasher(),))
        self._nobody = ""
        self._writing = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._clients: dict[str, Client] = {}

    def list(self) -> list[Client]:
        """Return every client, by name."""
        return [client for _, client in sorted(self._read().items())]

    def get(self, name: str) -> Client | None:
        """Return a client, None where there is none of that name."""
        return self._read().get(name)

    def add(self, name: str, scopes: Iterable[str], sources: Iterable[str], ingest_as: str = "") -> str:
        """Register a client and return its secret, which is kept nowhere.

        `ingest_as` may be left out when exactly one source is given. `Malformed`, `Conflict` for a name that is taken.
        Costs a hash: call it from a thread.
        """
        check_name(name, "client name")
        wanted, seen = tuple(dict.fromkeys(scopes)), tuple(dict.fromkeys(sources))
        if not wanted or not set(wanted) <= SCOPES.keys():
            raise Malformed("a client needs scopes that exist", remedy=f"give some of: {', '.join(SCOPES)}")
        for source in seen:
            if source != ANY_SOURCE:
                check_name(source, "source name")
        if not seen:
            raise Malformed("a client needs sources", remedy="name the sources it may see, or *")
        sends_as = _sends_as(wanted, seen, ingest_as)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        client = Client(
            name, wanted, seen, sends_as, self._clock.now(), secrets.token_hex(8), self._hash.hash(secret)
        )
        with self._writing:
            known = self._read()
            if name in known:
                raise Conflict("there is a client of this name", subject=name, remedy="revoke it first")
            self._write({**known, name: client})
        return secret

    def revoke(self, name: str) -> None:
        """Forget a client; its tokens are refused from now on. `NotFound`."""
        with self._writing:
            known = self._read()
            if name not in known:
                raise NotFound("there is no such client", remedy="see `bal clients list`")
            self._write({other: client for other, client in known.items() if other != name})

    def matches(self, client: Client | None, secret: str) -> bool:
        """Tell whether `secret` is the client's; somebody unknown costs as much time. Call it from a thread."""
        if not self._nobody:
            self._nobody = self._hash.hash(secrets.token_hex(16))
        if len(secret) > SECRET_CHARACTERS:
            client, secret = None, ""
        try:
            right = self._hash.verify(secret, client.secret_hash if client else self._nobody)
        except PwdlibError:
            return False
        return right and client is not None

    def _read(self) -> dict[str, Client]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._clients = None, {}
            return self._clients
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp != self._stamp:
            try:
                rows = json.loads(self._path.read_text(encoding="utf-8"))
                self._clients = {row["name"]: _client(row) for row in rows}
            except (OSError, ValueError, TypeError, KeyError) as error:
                message = "the clients cannot be read"
                raise Misconfigured(message, subject=self._path.name, remedy="restore the file") from error
            self._stamp = stamp
        return self._clients

    def _write(self, clients: dict[str, Client]) -> None:
        rows = [asdict(client) for _, client in sorted(clients.items())]
        write_file(self._path, json.dumps(rows, indent=1).encode(), SECRET, replace=True)


def _client(row: dict[str, Any]) -> Client:
    return Client(**{**row, "scopes": tuple(row["scopes"]), "sources": tuple(row["sources"])})


def _sends_as(scopes: tuple[str, ...], sources: tuple[str, ...], ingest_as: str) -> str:
    if INGEST not in scopes:
        if ingest_as:
            raise Malformed("only a client with the scope ingest sends", remedy="give it the scope ingest")
        return ""
    if not ingest_as and len(sources) == 1:
        ingest_as = sources[0]
    if not ingest_as or ingest_as == ANY_SOURCE:
        message = "a client with the scope ingest sends as one source"
        raise Malformed(message, remedy="name exactly one source, or say which one it sends as")
    return check_name(ingest_as, "source name")
