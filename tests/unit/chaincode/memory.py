"""A world state in a dictionary with Fabric's rules: reads never see the transaction's own writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaincode.anchor import GENESIS, Anchor
from chaincode.certification import invoke
from chaincode.errors import ContractError

RULES = "5a" * 32


@dataclass
class MemoryStub:
    """One transaction on `state`."""

    state: dict[str, bytes]
    creator_organisation: str
    creator_roles: frozenset[str]
    tx_id: str = "tx"
    tx_time: str = "2026-01-01T00:00:00.000000Z"
    writes: dict[str, bytes] = field(default_factory=dict)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    ranges: int = 0

    async def get_state(self, key: str) -> bytes | None:
        return self.state.get(key)

    async def put_state(self, key: str, value: bytes) -> None:
        self.writes[key] = value

    async def get_state_by_range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        self.ranges += 1
        for key in sorted(key for key in self.state if start <= key < end)[:limit]:
            yield key, self.state[key]

    def set_event(self, name: str, payload: bytes) -> None:
        self.events.append((name, payload))


class World:
    """A ledger of one state on which transactions run one after the other."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.count = 0
        self.last = MemoryStub({}, "", frozenset())

    async def run(
        self,
        function: str,
        *args: str | bytes,
        organisation: str = "DsoMSP",
        roles: frozenset[str] = frozenset({"admin", "client"}),
    ) -> Any:
        self.count += 1
        self.last = MemoryStub(self.state, organisation, roles, f"tx-{self.count}")
        answer = await invoke(self.last, function, args)
        self.state.update(self.last.writes)
        return json.loads(answer)

    async def refusal(self, function: str, *args: str | bytes, **who: Any) -> str:
        """Return the code with which a call is refused; a refused call has written nothing."""
        before = dict(self.state)
        with pytest.raises(ContractError) as refused:
            await self.run(function, *args, **who)
        assert self.state == before
        return refused.value.code


def chain(
    count: int, log: str = "bal-1", start: int = 0, previous: str = GENESIS, tag: str = "a"
) -> list[Anchor]:
    """Return consecutive anchors of a log over the source dso-a."""
    anchors = []
    for seq in range(start, start + count):
        anchor = Anchor(
            log=log,
            seq=seq,
            root=tag.encode().hex().rjust(2, "0") * 31 + f"{seq % 256:02x}",
            size=2,
            previous=previous,
            first="2026-01-01T00:00:00.000000Z",
            last="2026-01-01T00:15:00.000000Z",
            counts={"dso-a": 2},
            rules={"dso-a": RULES},
        )
        anchors.append(anchor)
        previous = anchor.hash
    return anchors


def argument(anchors: list[Anchor]) -> str:
    """Return anchors as the argument of Anchor."""
    return json.dumps([anchor.to_json() for anchor in anchors])


async def registered() -> World:
    """Return a world with log bal-1 and source dso-a of DsoMSP."""
    world = World()
    await world.run("RegisterLog", "bal-1")
    await world.run("RegisterSource", "dso-a", RULES)
    return world
