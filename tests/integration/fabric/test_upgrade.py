"""A new text of the contract is approved, committed and run; the ledger's content stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import chaincode
from bal.fabric import GatewayError
from bal.stack.fabric import lifecycle
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS, Organisation
from chaincode_service import package
from chaincode_service.package import version
from tests.integration.fabric.conftest import Ledger

ADDED = """

async def _ping(stub: Stub) -> dict[str, object]:
    return {"pong": stub.creator_organisation}


FUNCTIONS["Ping"] = Function(_ping, 0, 0, writes=False)
"""


def sequence(network: Network) -> int:
    """Return how often the contract was defined."""
    return int(lifecycle._committed(network, ORGANISATIONS[2])["sequence"])


async def test_a_changed_contract_is_approved_and_runs_on_the_same_ledger(
    ledger: Ledger, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, first = version(), sequence(ledger.network)
    async with ledger.contract(admin=True) as contract:
        await contract.submit("RegisterLog", prefix)
        with pytest.raises(GatewayError, match="unknown_function"):
            await contract.evaluate("Ping")

    copied = tmp_path / "chaincode"
    shutil.copytree(Path(chaincode.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    with (copied / "certification.py").open("a") as file:
        file.write(ADDED)
    changed = {path.name: path.read_bytes() for path in sorted(copied.glob("*.py"))}
    own = Network._chaincode

    def elsewhere(network: Network, organisation: Organisation) -> tuple[list[str], dict[str, str]]:
        argv, environment = own(network, organisation)
        return argv, {**environment, "PYTHONPATH": str(tmp_path)}

    with monkeypatch.context() as patched:
        patched.setattr(package, "sources", lambda: changed)
        patched.setattr(Network, "_chaincode", elsewhere)
        assert version() != before
        await ledger.start()
        assert sequence(ledger.network) == first + 1
        for each in ORGANISATIONS:
            async with ledger.contract(owner=each.name, gateways=1) as contract:
                answer = json.loads(await contract.evaluate("Ping", organisations=(each.msp,)))
                assert answer == {"pong": each.msp}
                assert json.loads(await contract.evaluate("GetHead", prefix))["log"] == prefix

    await ledger.start()
    assert sequence(ledger.network) == first + 2
    async with ledger.contract(admin=True) as contract:
        with pytest.raises(GatewayError, match="unknown_function"):
            await contract.evaluate("Ping")
        assert json.loads(await contract.submit("RegisterLog", prefix))["log"] == prefix
