"""The bench on the real servers, with a handful of readings: what it counts, not how fast it is."""

import json
from pathlib import Path

import pytest

from bal.cli.benchmark.round import Load, Round
from bal.cli.benchmark.rounds import syncs
from bal.cli.benchmark.stack import BenchStack
from bal.cli.benchmark.table import rows
from tests.grid import Grid

pytestmark = pytest.mark.timeout(600)


async def test_a_round_counts_what_was_certified_and_what_it_took(
    grid: Grid, tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches are full however slowly a document is read: none is cut by the window.
    monkeypatch.setenv("BAL_LANE__BATCH_WINDOW_MS", "10000")
    stack = BenchStack(grid.layout, tmp_path, "", lambda _line: None)
    operator = stack.operator(f"bench-{mark}")
    measured = Round(stack, workers=1, seconds=300)

    # Ten leaves a batch, two batches a transaction at most, four at a time in one document.
    found = await measured.measure(operator, Load("small", 10, 1, 40, 2))
    assert found["readings"] == 40
    assert 2 <= found["transactions_per_1000_readings"] * 40 / 1000 <= 4
    assert found["cassandra_sync"] == stack.sync
    assert 0 < found["sent_to_kafka_p50_ms"] <= found["sent_to_kafka_p99_ms"]
    assert 0 < found["sent_to_receipt_p50_ms"] <= found["sent_to_kafka_p99_ms"]
    assert 0 < found["ledger_block_bytes_per_1000_readings"] < found["ledger_bytes_per_1000_readings"]
    parts = found["cpu_seconds_per_1000_readings"]
    assert set(parts) == {
        "service",
        "bench",
        "mosquitto",
        "kafka",
        "cassandra",
        "orderer",
        "peer",
        "chaincode",
    }
    assert parts["service"] > 0

    # What came before is not counted again, nor sent faster than asked for.
    paced = await measured.measure(operator, Load("paced", 1, 3, 1, 1, rate=20.0, first=1))
    assert paced["transactions_per_1000_readings"] == 1000
    assert paced["certified_readings_per_second"] <= 30

    headings, table = rows([found, paced])
    assert headings == ["", "small", "paced"]
    assert ["readings", "40", "3"] in table
    assert json.dumps([found, dict(syncs(stack))])
