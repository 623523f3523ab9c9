"""Whether machine and stack are fit: tools, room, ports, pid files, certificates, clock."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from bal.stack import left, room
from bal.stack.authority import RENEW_BEFORE, revocation_list_ends
from bal.stack.facts import Facts
from bal.stack.layout import Layout
from bal.stack.ports import is_free
from bal.stack.server import Server
from bal.stack.stack import Stack
from bal.stack.tree import files, size

_FREE_MIB: Final = 2048
"""For data that grows."""
_MIB: Final = 1024**2
_CERTIFICATE_BYTES: Final = 16_384


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    ok: bool
    found: str


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at everything that can be wrong before, or instead of, a server saying so. Starts and changes nothing."""
    for server in stack.servers:
        yield from _tools(server, stack.layout)
    yield from _room(stack)
    facts = stack.facts()
    yield from _places(stack, facts)
    yield _certificates(stack.layout)
    yield _clock(stack.layout)


def _tools(server: Server, layout: Layout) -> Iterator[Finding]:
    lacks = server.missing()
    for lack in lacks:
        yield Finding(
            f"{server.name}: {lack.what}", ok=False, found=f"{lack.found or 'not found'}; {lack.remedy}"
        )
    installed = server.is_installed(layout)
    if not lacks:
        yield Finding(f"{server.name}: tools", ok=True, found="all there")
    found = "in the cache" if installed else f"not yet: `bal stack install` gets {server.downloads}"
    yield Finding(f"{server.name}: installed", installed, found)


def _room(stack: Stack) -> Iterator[Finding]:
    wanted = {"cache": sum(server.disk for server in stack.to_install()), "stack": _FREE_MIB}
    for what, path in (("cache", stack.layout.cache), ("stack", stack.layout.path)):
        free = room.free_disk(path)
        used = f"{size(path) // _MIB} MiB used, " if path.exists() else ""
        found = f"{used}{free} MiB free at {path}, {wanted[what]} wanted"
        yield Finding(f"disk of the {what}", free >= wanted[what], found)
    waiting = stack.at_rest()
    short = room.memory(waiting)
    if short:
        yield Finding("memory", ok=False, found=f"{short.found}, {short.what} wanted; {short.remedy}")
    else:
        names = ", ".join(server.name for server in waiting)
        yield Finding("memory", ok=True, found=f"enough to start {names}" if waiting else "all servers run")


def _places(stack: Stack, facts: Facts) -> Iterator[Finding]:
    for server in stack.servers:
        ports = facts.ports.get(server.name)
        if ports is None:
            continue
        processes = server.processes(stack.layout, ports)
        dead = [process.name for process in processes if process.pid is None]
        if len(dead) == len(processes):
            taken = [f"{name} {port}" for name, port in ports.items() if not is_free(port)]
            found = f"taken by another program: {', '.join(taken)}" if taken else "free"
            yield Finding(f"{server.name}: ports", not taken, found)
    stale = [process.name for process in left.named(stack.layout) if process.pid is None]
    found = (
        f"ended without being stopped: {', '.join(stale)}; `bal stack up` starts them"
        if stale
        else "none ended unasked"
    )
    yield Finding("processes", not stale, found)


def _certificates(layout: Layout) -> Finding:
    now, soon, count = datetime.now(UTC), [], 0
    for path in _pem_files(layout.path):
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError):
            continue
        count += 1
        if certificate.not_valid_after_utc <= now + RENEW_BEFORE:
            soon.append(f"{path.relative_to(layout.path)} on {certificate.not_valid_after_utc:%Y-%m-%d}")
    crl = layout.pki / "crl.pem"
    if crl.exists() and revocation_list_ends(crl) <= now + RENEW_BEFORE:
        soon.append("pki/crl.pem (`bal stack up` signs it anew)")
    found = f"expire within 30 days: {', '.join(sorted(soon)[:5])}" if soon else f"{count} in time"
    return Finding("certificates", not soon, found)


_PUT_ASIDE: Final = frozenset(("issued", "revoked"))
"""Folders of certificates that nobody shows: copies of all that were issued, and those that were taken back."""


def _pem_files(folder: Path) -> Iterator[Path]:
    for path, size_ in files(folder):
        if (
            path.suffix in {".crt", ".pem"}
            and size_ <= _CERTIFICATE_BYTES
            and _PUT_ASIDE.isdisjoint(path.relative_to(folder).parts)
        ):
            yield path


def _clock(layout: Layout) -> Finding:
    """Fabric refuses what is signed outside its time window; certificates made in the future are not valid yet."""
    written = layout.facts.stat().st_mtime if layout.facts.exists() else 0.0
    back = written - time.time()
    if back > 1:
        return Finding(
            "clock", ok=False, found=f"{back:.0f} s behind the time at which this stack was started"
        )
    return Finding("clock", ok=True, found=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
