"""Peers compared: behind for a moment, behind for good, another anchor, no answer."""

from __future__ import annotations

import pytest

from bal.core.errors import LedgerUnavailable
from bal.verify.peers import compare_peers
from bal.verify.report import AuditReport, Finding
from chaincode.anchor import Anchor
from chaincode.chain import Head
from tests.unit.anchor.embedded.home import SteppingClock, chain

LINE = chain(6)
FORK = chain(6, tag="b")


class Peers:
    """What three peers hold, log by log; `late` catch up when asked often enough."""

    peers = ("a:1", "b:1", "c:1")

    def __init__(self) -> None:
        self.held: dict[str, dict[str, list[Anchor]]] = {peer: {"bal-1": LINE} for peer in self.peers}
        self.late: dict[str, int] = {}
        self.silent: set[str] = set()
        self.falling_silent: set[tuple[str, str]] = set()
        """Peers that say no more from the log named on."""
        self.heads: dict[str, Head] = {}
        """What a peer says of its heads, whatever it holds."""
        self.asked: list[tuple[str, str]] = []
        """The heads asked for, also those of lists."""

    async def heads_at(self, peer: str) -> dict[str, Head | None]:
        found: dict[str, Head | None] = {}
        for log in self._of(peer):
            head = await self.head_at(peer, log) if (peer, log) not in self.falling_silent else None
            last = await self.find_at(peer, log, head.next - 1) if head is not None and head.next else None
            shown = head == Head(log) or (last is not None and head == Head(log, last.seq + 1, last.hash))
            found[log] = head if shown else None
        return found

    async def head_at(self, peer: str, log: str) -> Head:
        self.asked.append((peer, log))
        if (peer, log) in self.falling_silent:
            self.silent.add(peer)
        held = self._of(peer).get(log, [])
        if peer in self.heads:
            return self.heads[peer]
        if self.late.get(peer, 0) > 0:
            self.late[peer] -= 1
            held = held[:3]
        return Head(log, len(held), held[-1].hash) if held else Head(log)

    async def find_at(self, peer: str, log: str, seq: int) -> Anchor | None:
        held = self._of(peer).get(log, [])
        return held[seq] if seq < len(held) else None

    def _of(self, peer: str) -> dict[str, list[Anchor]]:
        if peer in self.silent:
            raise LedgerUnavailable("no answer", subject=peer)
        return self.held[peer]


async def findings(peers: Peers) -> set[Finding]:
    report = AuditReport()
    await compare_peers(peers, report, SteppingClock())
    assert len(report.findings) == len(set(report.findings))
    return set(report.findings)


async def test_peers_that_agree_are_no_finding() -> None:
    peers = Peers()
    assert await findings(peers) == set()
    peers.held = {peer: {} for peer in peers.peers}
    assert await findings(peers) == set()


async def test_only_logs_that_differ_are_asked_for_one_by_one() -> None:
    peers = Peers()
    peers.held = {peer: {f"bal-{number}": LINE for number in range(5)} for peer in peers.peers}
    peers.held["b:1"] = {**peers.held["b:1"], "bal-3": FORK}
    assert await findings(peers) == {Finding("peer_differs", "b:1")}
    assert sorted(log for peer, log in peers.asked if peer == "b:1") == [
        "bal-0",
        "bal-1",
        "bal-2",
        "bal-3",
        "bal-3",
        "bal-4",
    ]


async def test_one_that_is_behind_for_a_moment_is_none_and_for_good_is() -> None:
    peers = Peers()
    peers.late = {"b:1": 4}
    assert await findings(peers) == set()
    peers.late = {"b:1": 10_000}
    assert await findings(peers) == {Finding("peer_differs", "b:1")}


@pytest.mark.parametrize("peer", Peers.peers[1:])
async def test_another_anchor_is_a_finding(peer: str) -> None:
    peers = Peers()
    peers.held[peer] = {"bal-1": [*LINE[:5], FORK[5]]}
    assert await findings(peers) == {Finding("peer_differs", peer)}


async def test_where_the_own_one_is_another_both_others_differ_from_it() -> None:
    peers = Peers()
    peers.held["a:1"] = {"bal-1": FORK}
    assert await findings(peers) == {Finding("peer_differs", "b:1"), Finding("peer_differs", "c:1")}


async def test_the_own_one_may_be_the_one_behind() -> None:
    peers = Peers()
    peers.held["a:1"] = {"bal-1": LINE[:2]}
    assert await findings(peers) == {Finding("peer_differs", "a:1")}


@pytest.mark.parametrize("peer", Peers.peers)
@pytest.mark.parametrize(
    "head", [Head("bal-1", 6, "ab" * 32), Head("bal-1", 9, "ab" * 32), Head("bal-1", 9, LINE[5].hash)]
)
async def test_a_head_without_its_anchor_is_the_finding_and_not_the_others(peer: str, head: Head) -> None:
    peers = Peers()
    peers.heads[peer] = head
    assert await findings(peers) == {Finding("peer_differs", peer)}


@pytest.mark.parametrize("head", [Head("bal-1", 0, "ab" * 32), Head("bal-1", 0, LINE[5].hash)])
async def test_the_head_of_an_empty_log_is_the_first_one(head: Head) -> None:
    peers = Peers()
    peers.held = {peer: {"bal-1": []} for peer in peers.peers}
    peers.heads["b:1"] = head
    assert await findings(peers) == {Finding("peer_differs", "b:1")}


async def test_a_log_that_one_does_not_know_is_a_finding() -> None:
    peers = Peers()
    peers.held["c:1"] = {"bal-1": LINE, "bal-2": chain(1, log="bal-2")}
    assert await findings(peers) == {Finding("peer_differs", "a:1"), Finding("peer_differs", "b:1")}


async def test_a_silent_one_is_named_and_the_others_are_compared() -> None:
    peers = Peers()
    peers.silent = {"a:1"}
    peers.held["c:1"] = {"bal-1": FORK}
    assert await findings(peers) == {Finding("peer_silent", "a:1"), Finding("peer_differs", "c:1")}
    peers.silent = set(peers.peers)
    assert await findings(peers) == {Finding("peer_silent", peer) for peer in peers.peers}


@pytest.mark.parametrize("silent", Peers.peers[:2])
async def test_one_that_falls_silent_hides_no_other(silent: str) -> None:
    peers = Peers()
    peers.held = {peer: {"bal-0": LINE, "bal-1": LINE} for peer in peers.peers}
    peers.held["c:1"] = {"bal-0": LINE, "bal-1": FORK}
    peers.falling_silent = {(silent, "bal-1")}
    assert await findings(peers) == {Finding("peer_silent", silent), Finding("peer_differs", "c:1")}


async def test_one_that_goes_on_meanwhile_is_asked_for_the_anchor_compared() -> None:
    """It was behind, and is further than the others were when they were asked."""
    peers = Peers()
    peers.late = {"c:1": 2}
    peers.held["c:1"] = {"bal-1": [*LINE, *chain(1, start=6, previous=LINE[5].hash)]}
    assert await findings(peers) == set()
    peers.late = {"c:1": 2}
    peers.held["c:1"] = {"bal-1": [*LINE[:3], *FORK[3:], *chain(1, start=6, previous=FORK[5].hash)]}
    assert await findings(peers) == {Finding("peer_differs", "c:1")}
