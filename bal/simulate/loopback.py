"""Where simulated load may go: to this machine and nowhere else."""

import ipaddress
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from bal.core.errors import Malformed, Refused


class HostPort(NamedTuple):
    """A server on this machine."""

    host: str
    port: int


def check_loopback(host: str) -> str:
    """Return `host` when it is `localhost` or an address of the loopback network; raise `Refused` otherwise.

    Other names are refused without being looked up: a name may mean another machine a moment later.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        message = "simulated load goes to this machine only"
        raise Refused(message, subject="simulate", remedy="use localhost, 127.0.0.1 or ::1")
    return host


def broker_address(text: str) -> HostPort:
    """Return the loopback host and port of `host:port` or `[::1]:port`; raise `Malformed` or `Refused`."""
    host: str | None = None
    port: int | None = None
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        if parts.netloc == text and "@" not in text:
            host, port = parts.hostname, parts.port
    if not host or not port:
        message = "this is no address of a broker"
        raise Malformed(message, subject="simulate", remedy="write it as 127.0.0.1:8883")
    return HostPort(check_loopback(host), port)


def service_url(text: str) -> str:
    """Return the base address of a service on this machine; raise `Malformed` or `Refused`."""
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.scheme in {"https", "http"} else None
    except ValueError:
        host = None
    if not host or "@" in text:
        message = "this is no address of a service"
        raise Malformed(message, subject="simulate", remedy="write it as https://127.0.0.1:8443")
    check_loopback(host)
    return text.rstrip("/")
