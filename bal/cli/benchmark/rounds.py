"""The rounds of the bench on the real stack, side by side, and what they are measured on."""

import math
import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bal.cli.benchmark.operator import Operator
from bal.cli.benchmark.round import Load, Round
from bal.cli.benchmark.stack import BenchStack, Tell
from bal.resources import resource

_METERS: Final = 1000
_BATCH: Final = 200
_PACED_SECONDS: Final = 15
_WARM_ROUNDS: Final = range(3, 5)
"""At least and at most: in the second round compilers may have more to do than in the first."""
_WARM_SECONDS: Final = 120.0
_STILL_FALLS: Final = 0.95
"""Of the CPU time a reading took in the round before: servers are warm once a round takes more than that."""
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
        self._documents = max(1, readings // _METERS)
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
            paced = max(1, min(documents, int(_PACED_SECONDS * half / _METERS)))
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
        """Send until a reading takes no less CPU time than in the round before, for three rounds at least, four or two minutes at most.

        A stack of a utility's runs for months: what its compilers do in their first minutes is no figure of it.
        """
        begun, lowest, readings = time.monotonic(), math.inf, 0
        used: list[float] = []
        for number in range(1, _WARM_ROUNDS.stop):
            found = await self._measure(operator, "warming up", self._leaves, max(1, self._documents // 2))
            readings += found["readings"]
            used.append(found["cpu_seconds_per_1000_readings_all"])
            still = number in _WARM_ROUNDS and used[-1] > _STILL_FALLS * lowest
            if still or time.monotonic() - begun > _WARM_SECONDS:
                break
            lowest = min(lowest, used[-1])
        return {"readings": readings, "cpu_seconds_per_1000_readings": used}

    async def _measure(
        self,
        operator: Operator,
        name: str,
        leaves: int,
        documents: int,
        *,
        meters: int = _METERS,
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
