"""docs/examples/fabric_client.py, run as its readers do."""

import subprocess
import sys
from pathlib import Path

from tests.integration.fabric_client.conftest import Client
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[3]


def example(client: Client, *words: str) -> subprocess.CompletedProcess[str]:
    settings = client.settings
    options = [f"--{name}={settings[name]}" for name in ("msp", "certificate", "key", "channel", "chaincode")]
    for peer in settings["gateways"]:
        options += ["--gateway", peer["address"], "--tls-ca", peer["ca"]]
    script = str(ROOT / "docs" / "examples" / "fabric_client.py")
    return subprocess.run(
        [sys.executable, script, *options, *words],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def test_it_evaluates(dso: Client) -> None:
    done = example(dso, "evaluate", "ListLogs", "", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("[")


async def test_it_submits_and_sees_the_block(dso: Client) -> None:
    done = example(dso, "submit", "ListLogs", "", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "committed as " in done.stdout
    assert "that block holds " in done.stdout


async def test_it_tells_what_the_contract_refused(dso: Client) -> None:
    done = example(dso, "submit", "Nonexistent")
    assert done.returncode == 1
    assert "the contract refused at DsoMSP" in done.stderr
