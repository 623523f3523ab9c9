"""Fabric's own commands, run as an organisation's administrator."""

import os
import subprocess
import time
from collections.abc import Callable
from typing import Final, TypeVar

from bal.core.errors import Unavailable
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS, Organisation

_SECONDS: Final = 40.0
_PAUSE: Final = 0.2
_SAID: Final = 1500

Answer = TypeVar("Answer")


class CommandFailed(Unavailable):
    """A command of Fabric ended with an error."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(
            f"{command}: {said[-_SAID:].strip()}",
            subject="fabric",
            remedy="look at the logs of peers and orderers",
        )
        self.said = said


def peer(network: Network, organisation: Organisation, *argv: str) -> str:
    """Run `peer` as the administrator of an organisation at its peer; return what it said. Raises `CommandFailed`."""
    return _run(network, "peer", argv, network.administration(organisation))


def osnadmin(network: Network, organisation: Organisation, *argv: str) -> str:
    """Run `osnadmin channel` at the orderer of an organisation; return what it said. Raises `CommandFailed`."""
    tls = network.authority(organisation).path / "orderer" / "tls"
    place = ("-o", network.address(organisation, "orderer-admin"), "--ca-file", str(tls / "ca.crt"))
    identity = ("--client-cert", str(tls / "server.crt"), "--client-key", str(tls / "server.key"))
    said = _run(network, "osnadmin", ("channel", *argv, *place, *identity), {})
    # It exits 0 whatever the orderer answered.
    if not said.startswith("Status: 2"):
        raise CommandFailed(f"osnadmin channel {argv[0]}", said)
    return said


def configtxgen(network: Network, *argv: str) -> str:
    """Run `configtxgen` on the network's configtx.yaml."""
    return _run(network, "configtxgen", argv, {"FABRIC_CFG_PATH": str(network.path)})


def orderer(network: Network, organisation: Organisation) -> tuple[str, ...]:
    """Return the arguments that name an orderer to `peer`."""
    authority = network.authority(organisation)
    return ("-o", network.address(organisation, "orderer"), "--tls", "--cafile", str(authority.tls_ca))


def peers(network: Network, *organisations: Organisation) -> tuple[str, ...]:
    """Return the arguments that name peers to `peer`: all when none is named."""
    argv: list[str] = []
    for each in organisations or ORGANISATIONS:
        argv += ["--peerAddresses", network.address(each, "peer")]
        argv += ["--tlsRootCertFiles", str(network.authority(each).tls_ca)]
    return tuple(argv)


def patiently(work: Callable[[], Answer], seconds: float = _SECONDS) -> Answer:
    """Return what `work` returns, trying again while it is refused or nobody answers, at most for `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Unavailable:
            if time.monotonic() > end:
                raise
        time.sleep(_PAUSE)


def _run(network: Network, command: str, argv: tuple[str, ...], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - commands of this room
            [str(network.installation.command(command)), *argv],
            cwd=network.path,
            env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", ""), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(command, "no answer in time") from error
    except OSError as error:
        raise CommandFailed(command, str(error.strerror)) from error
    if done.returncode:
        raise CommandFailed(" ".join((command, *argv[:3])), done.stderr or done.stdout)
    return done.stdout.strip()
