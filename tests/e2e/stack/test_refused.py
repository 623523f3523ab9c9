"""What was refused on the real servers: from the stock MQTT client to Kafka's own consumer, without a byte of it."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.stack.world import Dso, console_consumer
from tests.grid import Grid
from tests.patience import PATIENCE

pytestmark = pytest.mark.timeout(600)

METER, VALUE = "DE-REFUSED-METER-1", "12,5 kWh"


def test_a_bad_document_by_mqtt_is_told_to_the_operator_on_kafka(grid: Grid, north: Dso) -> None:
    added = north.service.done("subscribers", "add", f"{north.name}-desk", "--rejected", "--json").value()
    assert added["kafka"] == [f"bal.rejected.{north.name}"]
    bad = documents.one(VALUE, METER)
    digest = hashlib.sha256(bad).hexdigest()
    north.send(bad)
    line = consumed(grid, Path(added["folder"]), added["kafka"][0], digest)
    report = json.loads(line)
    assert (report["source"], report["kind"], report["code"]) == (north.source, "reading", "value")
    assert report["where"].startswith("MeterReading[1]/")
    assert not any(secret in line for secret in (METER, VALUE, "kWh", "UsagePoint"))
    (kept,) = [
        each for each in north.service.done("rejections", "--json").values() if each["digest"] == digest
    ]
    assert report == {"version": 1, **kept, "number": 1}
    with console(grid, north.folder, added["kafka"][0]) as process:  # a subscriber of certified readings
        out, complaints = process.communicate(timeout=2 * PATIENCE)
    assert out == ""
    assert "TopicAuthorizationException" in complaints


def console(grid: Grid, folder: Path, topic: str) -> "subprocess.Popen[str]":
    """Start Kafka's own consumer where a subscriber's files are."""
    command = console_consumer(grid, topic)
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def consumed(grid: Grid, folder: Path, topic: str, digest: str) -> str:
    """Return the report on a message of this digest."""
    with console(grid, folder, topic) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                if json.loads(line)["digest"] == digest:
                    return line
            raise AssertionError(process.stderr.read())
        finally:
            process.kill()
