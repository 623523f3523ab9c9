"""The ledger of the simulation: the real contract on a dictionary, behind a network that loses, delays and refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Protocol

from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable
from chaincode.anchor import Anchor
from chaincode.errors import ContractError
from tests.unit.chaincode.memory import World as Contract


class Net(Protocol):
    """What the ledger needs of the simulated world."""

    chance: Random
    faults: float

    def time(self) -> float:
        """Return simulated seconds."""

    async def pause(self, kind: str) -> None:
        """Let time pass."""

    def complain(self, what: str) -> None:
        """Count a fault that was injected."""


class SimulatedLedger:
    """The port `Ledger`, as far as lanes use it. It lives on when the BAL dies; what was submitted may still commit."""

    kind, channel, organisation = "embedded", "certification", "DsoMSP"

    def __init__(self, net: Net) -> None:
        self._net = net
        self._contract = Contract()
        self._late: list[tuple[float, list[Anchor]]] = []
        self.order: list[tuple[str, int]] = []
        self.refusable = 0.0
        """Chance that a batch is one the contract never takes."""
        self._judged: dict[str, bool] = {}
        self.poisoned: set[tuple[str, int]] = set()

    async def _run(self, function: str, *args: str) -> Any:
        try:
            return await self._contract.run(function, *args)
        except ContractError as error:
            raise LedgerRefused(error.message, code=error.code) from None

    async def _commit(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        for anchor in anchors:
            if anchor.root not in self._judged:
                self._judged[anchor.root] = self._net.chance.random() < self.refusable
            if self._judged[anchor.root]:
                self.poisoned.add((anchor.log, anchor.seq))
                raise LedgerRefused("this batch is never taken", code="malformed")
        records = await self._run("Anchor", json.dumps([anchor.to_json() for anchor in anchors]))
        known = set(self.order)
        self.order += [(a.log, a.seq) for a in anchors if (a.log, a.seq) not in known]
        return [self._commitment(record) for record in records]

    def _commitment(self, record: dict[str, Any]) -> Commitment:
        members = dict(record)
        own = {name: members.pop(name) for name in ("tx_id", "time", "organisation")}
        members.pop("suspended")
        return Commitment(Anchor.from_json(members), self.kind, self.channel, block=1, **own)

    async def _settle_late(self) -> None:
        due = [each for each in self._late if each[0] <= self._net.time()]
        self._late = [each for each in self._late if each[0] > self._net.time()]
        for _, anchors in sorted(due, key=lambda each: each[0]):
            try:
                await self._commit(anchors)
            except LedgerRefused:
                self._net.complain("late and refused")

    async def _reach(self) -> None:
        await self._net.pause("ledger")
        await self._settle_late()
        if self._net.chance.random() < self._net.faults:
            self._net.complain("ledger unavailable")
            raise LedgerUnavailable("nobody answers")

    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        await self._reach()
        chance = self._net.chance
        if chance.random() < self._net.faults:
            fate = chance.choice(["never", "late", "committed"])
            self._net.complain(f"outcome unknown, {fate}")
            if fate == "late":
                self._late.append((self._net.time() + chance.uniform(0, 60), list(anchors)))
            if fate == "committed":
                await self._commit(anchors)
            await self._net.pause("ledger")
            raise LedgerOutcomeUnknown("the answer was lost")
        done = await self._commit(anchors)
        await self._net.pause("ledger")
        return done

    async def register_log(self, log: str) -> None:
        await self._reach()
        await self._run("RegisterLog", log)

    async def register_source(self, source: str) -> None:
        await self._run("RegisterSource", source)

    async def find(self, log: str, seq: int) -> Commitment | None:
        await self._reach()
        try:
            return self._commitment(await self._run("GetAnchor", log, str(seq)))
        except LedgerRefused:
            return None

    async def head(self, log: str) -> Commitment | None:
        await self._reach()
        try:
            head = await self._run("GetHead", log)
        except LedgerRefused:
            return None
        return await self._at(log, head["next"] - 1) if head["next"] else None

    async def _at(self, log: str, seq: int) -> Commitment:
        return self._commitment(await self._run("GetAnchor", log, str(seq)))

    async def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        head = await self._run("GetHead", log)
        for seq in range(first, head["next"]):
            yield await self._at(log, seq)

    async def logs(self) -> list[str]:
        raise NotImplementedError

    async def set_rules(self, source: str, digest: str) -> None:
        raise NotImplementedError

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        raise NotImplementedError

    async def suspended(self, source: str) -> bool:
        raise NotImplementedError

    async def verify(self) -> None:
        raise NotImplementedError
