"""Free ports on 127.0.0.1, the same at every start of a stack."""

import hashlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from bal.core.errors import Malformed, Unavailable

HOST: Final = "127.0.0.1"
_FIRST: Final = 20_000
_EPHEMERAL: Final = 32_768
_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A connection that was closed a moment ago does not keep a server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def candidates(stack: Path) -> Iterator[int]:
    """Yield ports to try for a stack, beginning at a place of its own; below those the kernel gives to outgoing connections.

    A port of theirs may be taken by any client while the server is down. Source: ip(7), ip_local_port_range.
    """
    end = _EPHEMERAL
    with suppress(OSError, ValueError, IndexError):
        end = int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    if end <= _FIRST + 1000:
        end = 65_536
    digest = hashlib.sha256(bytes(stack)).digest()
    span = end - _FIRST
    begin = int.from_bytes(digest[:4], "big") % span
    yield from (_FIRST + (begin + step) % span for step in range(span))


def choose(
    stack: Path,
    wanted: Mapping[str, list[str]],
    remembered: Mapping[str, Mapping[str, int]],
    configured: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Return the ports of every server: those configured, those remembered, free ones for the rest.

    `configured` names a port by itself, or as `SERVER.NAME` where two servers have one of that name.
    Raises `Malformed` for a name that means none, or a port given twice.
    """
    ports = {server: dict(names) for server, names in remembered.items()}
    for name, port in configured.items():
        server, short = _meant(name, wanted)
        ports.setdefault(server, {})[short] = port
    taken = {port for names in ports.values() for port in names.values()}
    free = (port for port in candidates(stack) if port not in taken and is_free(port))
    for server, names in wanted.items():
        has = ports.setdefault(server, {})
        for name in names:
            if name in has:
                continue
            found = next(free, None)
            if found is None:
                message = "no port is free"
                raise Unavailable(message, subject=f"{server}.{name}", remedy="name one with --port")
            has[name] = found
    twice = sorted(ports[a][b] for a in ports for b in ports[a])
    for one, other in pairwise(twice):
        if one == other:
            message = "this port was given twice"
            raise Malformed(message, subject=str(one), remedy="name another with --port")
    return ports


def _meant(name: str, wanted: Mapping[str, list[str]]) -> tuple[str, str]:
    known = [(server, port) for server, names in wanted.items() for port in names]
    found = [each for each in known if name in {each[1], ".".join(each)}]
    if len(found) == 1:
        return found[0]
    message = "several servers have such a port" if found else "there is no such port"
    among = ", ".join(sorted(".".join(each) for each in found or known))
    raise Malformed(message, subject=name, remedy=f"choose among {among}")
