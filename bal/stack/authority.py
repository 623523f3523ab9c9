"""The CA of a stack, used by several servers' modules at a time."""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from bal.core.errors import Conflict
from bal.durable import make_directory
from bal.pki import RESERVED, Authority, gateway_of
from bal.stack.layout import Layout

RENEW_BEFORE: Final = timedelta(days=30)


@contextmanager
def authority(layout: Layout) -> Iterator[Authority]:
    """Hold the CA of the stack as its one writer; made on first use. Not to be nested."""
    make_directory(layout.path)
    with (layout.path / "pki.lock").open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Authority.open(layout.pki) if Authority.exists(layout.pki) else Authority.create(layout.pki)


def prepare(layout: Layout) -> None:
    """Make the CA before several servers ask for it; sign its revocation list anew before servers refuse everybody for its age."""
    with authority(layout) as ca:
        if revocation_list_ends(ca.crl_path) <= datetime.now(UTC) + RENEW_BEFORE:
            ca.renew_crl()


def revocation_list_ends(path: Path) -> datetime:
    """Return until when a revocation list counts (RFC 5280, nextUpdate)."""
    ends = x509.load_pem_x509_crl(path.read_bytes()).next_update_utc
    assert ends is not None, "every list of ours has one"
    return ends


def issued(layout: Layout, name: str) -> tuple[Path, Path]:
    """Return certificate and key of an identity of the stack, its own or a guest's; issued when it has no valid one."""
    now = datetime.now(UTC)
    with authority(layout) as ca:
        paths = ca.client_paths(name)
        valid = any(each.name == name and each.kind == "client" and each.valid(now) for each in ca.list())
        if valid and all(path.exists() for path in paths):
            return paths
        return ca.issue_client(name, replace=True, service=name in RESERVED)


def revoke(layout: Layout, names: Iterable[str]) -> None:
    """Revoke the clients' certificates of these identities and those of their own servers; remove what of them lies ready.

    Again is no harm. The servers that read the list at a signal are to be told.
    """
    wanted = {pair for name in names for pair in (("client", name), ("server", gateway_of(name)))}
    with authority(layout) as ca:
        known = [each for each in ca.list() if (each.kind, each.name) in wanted]
        for kind, name in sorted({(each.kind, each.name) for each in known if each.revoked_at is None}):
            ca.revoke(name, kind)
        for kind, name in sorted({(each.kind, each.name) for each in known}):
            for path in ca.client_paths(name) if kind == "client" else ca.paths_of_server(name):
                path.unlink(missing_ok=True)


def refuse_strangers(layout: Layout, name: str) -> None:
    """Raise `Conflict` for the name in somebody's valid certificate: whoever is admitted by it would get that one's key."""
    now = datetime.now(UTC)
    with authority(layout) as ca:
        if any(each.name == name and each.kind == "client" and each.valid(now) for each in ca.list()):
            message = "there is a certificate of this name, and not of a guest"
            remedy = "choose another name, or revoke it first (`bal pki revoke`) if nobody needs it"
            raise Conflict(message, subject=name, remedy=remedy)
