"""The bench of the real stack: its rounds, side by side, and what they are measured on."""

import os
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bal.cli.benchmark.grounds import Grounds, Place, Tell
from bal.cli.benchmark.round import Load, Round
from bal.resources import resource
from bal.stack.layout import Layout, cache_path

_METERS: Final = 1000
_BATCH: Final = 200


class Whole:
    """Rounds on one stack, one after the other."""

    def __init__(
        self,
        folder: Path,
        *,
        readings: int,
        single: int,
        workers: int,
        leaves: int,
        profile: Path | None,
        tell: Tell,
    ) -> None:
        """Take `readings` for the round with batches of `leaves`, `single` for that with a transaction a reading."""
        self._grounds = Grounds(Layout(folder / "stack", cache_path()), folder, "batch", tell)
        self._round = Round(self._grounds, workers=workers, seconds=max(120.0, readings / 200))
        self._documents = max(1, readings // _METERS)
        self._single = single
        self._leaves = leaves
        self._profile = profile
        self._tell = tell
        self._number = 0

    async def run(self) -> dict[str, Any]:
        """Return the figures of every round and what they were measured on."""
        leaves, documents = self._leaves, self._documents
        with self._grounds.running():
            places = {name: self._grounds.place(f"bench-{name}") for name in ("single", "small", "default")}
            warm = max(1, documents // 2)
            await self._measure(places["default"], "warming up", leaves, warm)
            rounds = [
                await self._measure(
                    places["single"], "a transaction a reading", 1, self._single, meters=1, anchors=1
                ),
                await self._measure(places["small"], f"batches of {_BATCH}", _BATCH, max(1, documents // 5)),
                await self._measure(
                    places["default"], f"batches of {leaves}", leaves, documents, profile=self._profile
                ),
            ]
            half = rounds[-1]["certified_readings_per_second"] / 2
            paced = max(1, min(documents, int(15 * half / _METERS)))
            rounds.append(await self._measure(places["default"], "half that load", leaves, paced, rate=half))
            self._grounds.restart_cassandra("group")
            sent = {"single": self._single, "small": max(1, documents // 5) * _METERS}
            sent["default"] = (warm + documents + paced) * _METERS
            stored = {
                name: round(self._grounds.database_bytes(place) / sent[name] * 1000)
                for name, place in places.items()
            }
            for each, name in zip(rounds, ("single", "small", "default", "default"), strict=True):
                each["database_bytes_per_1000_readings"] = stored[name]
            await self._measure(places["default"], "warming up", leaves, warm)
            rounds.append(await self._measure(places["default"], f"batches of {leaves}", leaves, documents))
            return {"machine": machine(), "syncs": syncs(self._grounds), "rounds": rounds}

    async def _measure(
        self,
        place: Place,
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
        self._tell(f"{name}: {load.readings} readings, Cassandra {self._grounds.sync}")
        found = await self._round.measure(place, load, profile)
        self._tell(f"{name}: {found['certified_readings_per_second']} certified readings/s")
        return found


def machine() -> str:
    """Return what it is measured on."""
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, load {load} at {time.strftime('%H:%M')}, {python}"


def syncs(grounds: Grounds) -> Mapping[str, str]:
    """Return when what each server acknowledges is on disk, by the configuration it runs under."""
    kafka = (resource("kafka") / "server.properties").read_text(encoding="utf-8")
    flushes = re.findall(r"^log\.flush[^\n]*", kafka, re.MULTILINE)
    mosquitto = (resource("mosquitto") / "mosquitto.conf").read_text(encoding="utf-8")
    saves = re.findall(r"^(?:persistence|autosave)[a-z_]* [^\n$]*$", mosquitto, re.MULTILINE)
    return {
        "cassandra": f"commitlog_sync as named in each round; of this stack last: {grounds.sync}",
        "kafka": f"acks=all of one replica; {', '.join(flushes) or 'no flush before acknowledging (the page cache)'}",
        "fabric": "orderers: Raft's log synced before a block is made; peers: block files synced at each block",
        "mosquitto": f"{', '.join(saves)}: not synced before acknowledging; receipts of the BAL say what is kept",
        "quarantine": "SQLite, WAL, synchronous=FULL",
    }
