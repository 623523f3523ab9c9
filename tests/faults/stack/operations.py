"""What peers and orderers tell of themselves at their operations endpoints."""

import re
import ssl
import time

import httpx

from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS, Organisation
from bal.stack.facts import Facts
from tests.grid import Grid
from tests.patience import PATIENCE

_LEADS = 'consensus_etcdraft_is_leader{channel="certification"} 1'
_WAITS = re.compile(
    r'^grpc_server_unary_requests_(received|completed)\{[^}]*method="CommitStatus"[^}]*\} (\d+)$',
    re.MULTILINE,
)


def leader(grid: Grid) -> str:
    """Return the name of the orderer that leads the channel now; wait while they elect one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for each in ORGANISATIONS:
            try:
                metrics = _metrics(grid, each, "orderer")
            except httpx.HTTPError:  # it may be the one that was killed, or be starting
                continue
            if _LEADS in metrics:
                return f"fabric-{each.name}-orderer"
        time.sleep(0.1)
    raise AssertionError("no orderer leads")


def waiting_commits(grid: Grid) -> int:
    """Return for how many transactions that an orderer has taken somebody waits, at any peer."""
    number = 0
    for each in ORGANISATIONS:
        for what, count in _WAITS.findall(_metrics(grid, each, "peer")):
            number += int(count) if what == "received" else -int(count)
    return number


def _metrics(grid: Grid, organisation: Organisation, server: str) -> str:
    network = Network(grid.layout, Facts.read(grid.layout).ports["fabric"])
    tls = network.authority(organisation).path / server / "tls"
    trusted = ssl.create_default_context(cafile=str(tls / "ca.crt"))
    trusted.load_cert_chain(tls / "server.crt", tls / "server.key")
    where = network.address(organisation, f"{server}-operations")
    return httpx.get(f"https://{where}/metrics", verify=trusted, timeout=PATIENCE).raise_for_status().text
