"""The rounds of the bench on the real stack, side by side, and what they are measured on."""

import math
import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bal.cli.benchmark.documents import METERS
from bal.cli.benchmark.operator import Operator
from bal.cli.benchmark.round import Load, Round
from bal.cli.benchmark.stack import BenchStack, Tell
from bal.resources import resource

_BATCH: Final = 200
_PACED_SECONDS: Final = 15
_WARM_ROUNDS: Final = 10
_WARM_SECONDS: Final = 180.0
_STILL_FALLS: Final = 0.95
"""Of the least CPU time a reading has taken so far: a round that takes more than that has brought nothing."""
_IN_VAIN: Final = 2
"""Rounds one after the other that bring nothing once servers are warm; a single one may be a matter of chance."""
_OPERATORS: Final = ("single", "small", "default", "half", "warm")
"""Each round whose tables are counted has an operator, and with it a keyspace, of its own."""


class Rounds:
    """Rounds on one stack, one after the other."""

    def __init__(
        self,
        stack: BenchStack,
        measured: Round,
        *,
        readings: int,
        single: int,
        leaves: int,
        profile: Path | None,
        tell: Tell,
    ) -> None:
        """Take `readings` for the round with batches of `leaves`, `single` for that with a transaction a reading."""
        self._stack = stack
        self._round = measured
        self._documents = max(1, readings // METERS)
        self._single = single
        self._leaves = leaves
        self._profile = profile
        self._tell = tell
        self._number = 0

    async def run(self) -> dict[str, Any]:
        """Return the figures of every round and what they were measured on."""
        leaves, documents = self._leaves, self._documents
        batches = f"batches of {leaves}"
        with self._stack.running():
            who = {name: self._stack.operator(f"bench-{name}") for name in _OPERATORS}
            warmed = [await self._warm_up(who["warm"])]
            rounds = {
                "single": await self._measure(
                    who["single"], "a transaction a reading", 1, self._single, meters=1, anchors=1
                ),
                "small": await self._measure(
                    who["small"], f"batches of {_BATCH}", _BATCH, max(1, documents // 5)
                ),
                "default": await self._measure(
                    who["default"], batches, leaves, documents, profile=self._profile
                ),
            }
            half = rounds["default"]["certified_readings_per_second"] / 2
            paced = max(1, min(documents, int(_PACED_SECONDS * half / METERS)))
            rounds["half"] = await self._measure(who["half"], "half that load", leaves, paced, rate=half)
            self._stack.restart_cassandra("group")
            for name, found in rounds.items():
                stored = self._stack.database_bytes(who[name])
                found["database_bytes_per_1000_readings"] = round(stored / found["readings"] * 1000)
            warmed.append(await self._warm_up(who["warm"]))
            last = await self._measure(who["default"], batches, leaves, documents)
            return {
                "machine": machine(),
                "syncs": syncs(self._stack),
                "warm_ups": warmed,
                "rounds": [*rounds.values(), last],
            }

    async def _warm_up(self, operator: Operator) -> dict[str, Any]:
        """Send until two rounds have brought no saving of CPU time a reading; ten rounds or three minutes at most.

        A stack of a utility's runs for months: what its compilers do in their first minutes is no figure of it.
        """
        begun, lowest, in_vain, readings = time.monotonic(), math.inf, 0, 0
        used: list[float] = []
        while len(used) < _WARM_ROUNDS and in_vain < _IN_VAIN and time.monotonic() - begun < _WARM_SECONDS:
            found = await self._measure(operator, "warming up", self._leaves, max(1, self._documents // 2))
            readings += found["readings"]
            used.append(found["cpu_seconds_per_1000_readings_all"])
            in_vain = in_vain + 1 if used[-1] > _STILL_FALLS * lowest else 0
            lowest = min(lowest, used[-1])
        return {"readings": readings, "cpu_seconds_per_1000_readings": used}

    async def _measure(
        self,
        operator: Operator,
        name: str,
        leaves: int,
        documents: int,
        *,
        meters: int = METERS,
        anchors: int = 64,
        rate: float = 0.0,
        profile: Path | None = None,
    ) -> dict[str, Any]:
        load = Load(name, leaves, documents, meters, anchors, rate=rate, first=self._number)
        self._number += documents
        self._tell(f"{name}: {load.readings} readings, Cassandra {self._stack.sync}")
        found = await self._round.measure(operator, load, profile)
        self._tell(f"{name}: {found['certified_readings_per_second']} certified readings/s")
        return found


def machine() -> str:
    """Return what it is measured on."""
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, load {load} at {time.strftime('%H:%M')}, {python}"


def syncs(stack: BenchStack) -> Mapping[str, str]:
    """Return when what each server acknowledges is on disk, by the configuration it runs under."""
    kafka = (resource("kafka") / "server.properties").read_text(encoding="utf-8")
    flushes = re.findall(r"^log\.flush[^\n]*", kafka, re.MULTILINE)
    mosquitto = (resource("mosquitto") / "mosquitto.conf").read_text(encoding="utf-8")
    saves = re.findall(r"^(?:persistence|autosave)[a-z_]* [^\n$]*$", mosquitto, re.MULTILINE)
    return {
        "cassandra": f"commitlog_sync as named in each round; of this stack last: {stack.sync}",
        "kafka": f"acks=all of one replica; {', '.join(flushes) or 'no flush before acknowledging (the page cache)'}",
        "fabric": "orderers: Raft's log synced before a block is made; peers: block files synced at each block",
        "mosquitto": f"{', '.join(saves)}: not synced before acknowledging; receipts of the BAL say what is kept",
        "quarantine": "SQLite, WAL, synchronous=FULL",
    }
