"""Everything embedded: a home with its own broker, ledger and database."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from bal.cli.demonstration.world import Failed, Say, Tampered
from bal.config import GatewaySettings, MqttSettings, Settings, load
from bal.core.source import Source
from bal.core.value import canonical_value
from bal.home import Home

_CHANGE = "UPDATE readings SET value = ? WHERE log = ? AND seq = ? AND idx = ?"


class Embedded:
    """A home that needs nothing but Python."""

    dso, pmu = "dso-demo", "pmu-demo"

    def __init__(self, home: Home) -> None:
        self.home = home
        self.auditor = home.path

    async def prepare(self, say: Say) -> Settings:
        """Make the home."""
        if self.home.scd.exists():
            message = "this home is in use; name an empty folder"
            raise Failed(message)
        say(f"making a home in {self.home.path}: keys, development CA, ledger, database")
        return load(self.home.create().path).model_copy(
            update={"mqtt": MqttSettings(port=0), "gateway": GatewaySettings(port=0)}
        )

    def source(self, name: str, lane: str) -> Source:
        """Return a source that goes out to files."""
        return Source(name=name, lane=lane)

    async def published(self, counts: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return what stands in the files; they are complete once the lane has stopped."""
        del counts
        lines = [
            line
            for path in sorted(self.home.out.rglob("*.jsonl"))
            for line in path.read_text("utf-8").splitlines()
        ]
        return [json.loads(line) for line in lines]

    def trusted(self, anchors: Path) -> list[str]:
        """Trust the anchors in a file."""
        return ["--anchors", str(anchors)]

    @asynccontextmanager
    async def tampering(self) -> AsyncIterator[Tampered]:
        """Change a value in the database file."""
        with closing(sqlite3.connect(self.home.scd)) as database:
            row = database.execute(
                "SELECT log, seq, idx, value FROM readings ORDER BY log, seq, idx LIMIT 1 OFFSET 7"
            ).fetchone()
            other = canonical_value(str(Decimal(row[3]) + 1))
            with database:
                database.execute(_CHANGE, (other, *row[:3]))
            try:
                yield Tampered(f"{row[0]}:{row[1]}:{row[2]}", row[3], other, "changed")
            finally:
                with database:
                    database.execute(_CHANGE, (row[3], *row[:3]))

    async def clean(self, say: Say) -> None:
        """Leave everything to whoever removes the home."""
