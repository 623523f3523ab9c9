"""What the probe asks, and what it says of those that do not answer."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bal.core.errors import Unavailable
from bal.fabric import FabricError, Status
from bal.stack.fabric import Fabric, commands, probe
from bal.stack.fabric.commands import CommandFailed
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS, Organisation
from bal.stack.layout import Layout

PORTS = {name: 20_000 + index for index, name in enumerate(Fabric().port_names())}
COMMITTED = Status("tx", 0, 7, "127.0.0.1:1")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(Layout(tmp_path / "stack", tmp_path / "cache"), PORTS)


def ended(code: int, stdout: str = "", stderr: str = "") -> Callable[..., Any]:
    def run(argv: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, code, stdout, stderr)

    return run


def test_it_tells_what_was_done(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", ended(0, "all is well\n"))
    assert probe.probe(network) == "all is well"


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [("market: away\n", "", "market: away"), ("", "Traceback: sorry", "Traceback: sorry")],
)
def test_one_that_failed_says_why(
    network: Network, monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str, said: str
) -> None:
    monkeypatch.setattr(subprocess, "run", ended(1, stdout, stderr))
    with pytest.raises(Unavailable, match=said):
        probe.probe(network)


def test_one_that_hangs_is_unavailable(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], *, timeout: float, **_options: Any) -> None:
        raise subprocess.TimeoutExpired(argv, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Unavailable, match="no transaction was endorsed and committed in 100 s") as error:
        probe.probe(network, 10.0)
    assert "bal stack down" in error.value.remedy
    # Which is what `bal stack up` asks to know whether there is something to do.
    monkeypatch.setattr("bal.stack.fabric.lifecycle.is_deployed", lambda _network: True)
    monkeypatch.setattr(Network, "processes", lambda _network: [])
    assert Fabric()._runs(network) is False


class Asked:
    """Steps of the probe that succeed at once, but for those that are told not to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: set[tuple[str, str]] = set()
        self.failing: dict[str, Exception] = {}
        for name in ("_endorse", "_submit", "_await"):
            monkeypatch.setattr(probe, name, partial(self.step, name))
        monkeypatch.setattr(commands, "peer", self.peer)
        self.fetched: dict[str, tuple[str, ...]] = {}

    async def step(self, name: str, _network: Network, each: Organisation, *_more: object) -> Status:
        self.steps.add((name, each.name))
        if each.name in self.failing and name != "_deliver":
            raise self.failing[each.name]
        return COMMITTED

    def peer(self, _network: Network, each: Organisation, *argv: str) -> str:
        self.fetched[each.name] = argv
        if f"{each.name}-orderer" in self.failing:
            raise self.failing[f"{each.name}-orderer"]
        return ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


async def test_every_gateway_peer_and_orderer_is_asked(network: Network, asked: Asked) -> None:
    assert "ordered and committed by all three" in await probe._probe(network, 0.0)
    names = {each.name for each in ORGANISATIONS}
    assert asked.steps == {
        *(("_endorse", name) for name in names),
        ("_submit", "dso"),
        *(("_await", name) for name in names),
    }
    for each in ORGANISATIONS:
        argv = asked.fetched[each.name]
        assert argv[:3] == ("channel", "fetch", "7")  # the block of the very transaction
        assert argv[argv.index("-o") + 1] == network.address(each, "orderer")


@pytest.mark.parametrize("orderer", ["dso", "market", "regulator"])
async def test_an_orderer_that_does_not_deliver_is_named(
    network: Network, asked: Asked, orderer: str
) -> None:
    asked.failing[f"{orderer}-orderer"] = CommandFailed("peer channel fetch", "no answer in time")
    with pytest.raises(Unavailable, match="no answer in time") as error:
        await probe._probe(network, 0.0)
    assert error.value.subject == orderer


async def test_what_fails_is_tried_again_until_the_time_is_over(network: Network, asked: Asked) -> None:
    asked.failing["market"] = FabricError("not yet")
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="not yet") as error:
        await probe._probe(network, 0.5)
    assert error.value.subject == "market"
    assert time.monotonic() - begun >= 0.5
    assert asked.fetched == {}  # nothing is submitted where endorsement fails


def test_its_process_reads_the_network_and_says_how_it_ended(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[Network, float]] = []

    async def probed(network: Network, seconds: float) -> str:
        told.append((network, seconds))
        if len(told) > 1:
            raise Unavailable("away", subject="market")
        return "done"

    monkeypatch.setattr(probe, "_probe", probed)
    asked = {
        "path": str(network.layout.path),
        "cache": str(network.layout.cache),
        "ports": PORTS,
        "seconds": 3.0,
    }
    monkeypatch.setattr("json.load", lambda _file: json.loads(json.dumps(asked)))
    assert probe.main() == 0
    assert probe.main() == 1
    assert told == [(network, 3.0)] * 2
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "done"
    assert "away" in said[1]
