"""The whole way on the real broker: a home publishes to Kafka, its subscribers read with what they were handed."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bal.stack.kafka import tool
from bal.stack.server import Guest
from bal.stack.toml import written
from tests.e2e import documents
from tests.e2e.command import Shell
from tests.patience import PATIENCE
from tests.real import Real


@pytest.fixture
def shell(real: Real, tmp_path: Path) -> Shell:
    """Return a home whose sources may go to Kafka."""
    home = tmp_path / "home"
    home.mkdir()
    settings = real.admit("kafka", Guest("cli-bal", "dso"))
    text = written({"pki": {"path": str(real.layout.pki)}, **settings})
    (home / "bal.toml").write_text(text)
    return Shell(home)


async def consumed(real: Real, folder: Path, topic: str, count: int) -> tuple[list[Any], str]:
    """Return what Kafka's own consumer prints to a subscriber that runs it where its files are, and its complaints."""
    command = [
        *map(str, tool(real.layout)),
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", real.facts("kafka")["servers"][0], "--command-config", "kafka.properties"),
        *("--topic", topic, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "120000"),
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


async def test_subscribers_read_what_they_were_granted_until_it_is_taken(shell: Shell, real: Real) -> None:
    shell.done("sources", "add", "cli-a", "--output", "jsonl", "--output", "kafka")
    whole = shell.done("subscribers", "add", "cli-market", "--source", "cli-a", "--json").value()
    part = shell.done(
        "subscribers", "add", "cli-home", "--source", "cli-a", "--meter", "DE-METER-1", "--json"
    ).value()
    assert (whole["kafka"], part["kafka"]) == (["bal.certified.cli-a"], ["bal.granted.cli-home"])
    receipt = shell.ingest(documents.many(3), "cli-a")
    found, complaints = await consumed(real, Path(whole["folder"]), whole["kafka"][0], 3)
    assert {each["address"] for each in found} == set(receipt["addresses"]), complaints
    (own,), complaints = await consumed(real, Path(part["folder"]), part["kafka"][0], 1)
    assert own["entry"]["value"] == "1001", complaints
    for name, text in ((each["address"], json.dumps(each)) for each in found):
        path = shell.home / f"{name.replace(':', '-')}.json"
        path.write_text(text)
        shell.done("verify", path)

    again = shell.done("republish", "--source", "cli-a", "--output", "kafka", "--from", found[0]["address"])
    assert "kafka: 1 batches" in again.out
    found, complaints = await consumed(real, Path(whole["folder"]), whole["kafka"][0], 3)
    assert len(found) == 3, complaints

    shell.done("subscribers", "remove", "cli-market")
    found, complaints = await consumed(real, Path(whole["folder"]), whole["kafka"][0], 1)
    assert found == []
    assert "AuthorizationException" in complaints or "SslAuthenticationException" in complaints
