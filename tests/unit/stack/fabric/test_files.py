"""The files of fabric-network: what the network, the compose file and the docs rely on."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bal.core.errors import Misconfigured
from bal.resources import resource
from bal.stack.fabric import channel, commands
from bal.stack.fabric.installation import COMMANDS, Installation
from bal.stack.fabric.network import Network, settings
from bal.stack.fabric.organisations import ENDORSEMENT, HOST, ORGANISATIONS
from bal.stack.fabric.server import Fabric
from bal.stack.layout import Layout
from bal.stack.server import Guest
from chaincode.registry import REGULATORS
from tests.unit.docs.pages import page

FOLDER = resource("fabric-network")
NETWORK_PAGE = page("docs/fabric-network.md")
SERVER = Fabric()
PORTS = {name: 20_000 + index for index, name in enumerate(SERVER.port_names())}


def network(tmp_path: Path) -> Network:
    return Network(Layout(tmp_path / "stack", tmp_path / "cache"), PORTS)


def test_ports_are_free_of_doubles_and_on_the_page() -> None:
    names = list(SERVER.port_names())
    assert len(set(names)) == len(names) == 21
    assert all(f"`{name}`" in NETWORK_PAGE for name in names if name.startswith("dso-"))


def test_every_process_listens_on_this_machine_alone(tmp_path: Path) -> None:
    for process in network(tmp_path).processes():
        listening = {name: value for name, value in process.environment.items() if "ADDRESS" in name}
        assert listening
        assert all(value == HOST or value.startswith(f"{HOST}:") for value in listening.values())


def test_tls_is_on_everywhere(tmp_path: Path) -> None:
    for each in ORGANISATIONS:
        peer = network(tmp_path).process(each, "peer").environment
        orderer = network(tmp_path).process(each, "orderer").environment
        assert {peer["CORE_PEER_TLS_ENABLED"], peer["CORE_OPERATIONS_TLS_ENABLED"]} == {"true"}
        for name in ("GENERAL", "ADMIN", "OPERATIONS"):
            assert orderer[f"ORDERER_{name}_TLS_ENABLED"] == "true"
        assert orderer["ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED"] == "true"


def test_a_proposal_has_a_minute_and_a_leader_three_seconds() -> None:
    assert settings("peer.env")["CORE_PEER_AUTHENTICATION_TIMEWINDOW"] == "1m"
    channel_file = yaml.safe_load(re.sub(r"\$\{\w+port\}", "1", (FOLDER / "configtx.yaml").read_text()))
    orderer = channel_file["Profiles"]["Certification"]["Orderer"]
    options = orderer["EtcdRaft"]["Options"]
    assert int(options["TickInterval"].removesuffix("ms")) * options["ElectionTick"] >= 3000
    assert orderer["BatchTimeout"] == "50ms"


def test_the_channel_has_the_three_organisations_the_contract_knows() -> None:
    text = re.sub(r"\$\{\w+port\}", "1", (FOLDER / "configtx.yaml").read_text())
    names = [each["ID"] for each in yaml.safe_load(text)["Organizations"]]
    assert names == [each.msp for each in ORGANISATIONS]
    assert set(REGULATORS) <= set(names)
    assert re.findall(r"'(\w+)\.peer'", ENDORSEMENT) == names
    assert ENDORSEMENT.startswith("OutOf(2, ")


def test_go_builds_the_commands_that_are_used_and_no_other() -> None:
    tools = re.findall(
        r"^\tgithub.com/hyperledger/fabric/cmd/(\w+)$", (FOLDER / "go.mod").read_text(), re.MULTILINE
    )
    assert tools == list(COMMANDS)
    assert all(f"`{name}`" in NETWORK_PAGE for name in COMMANDS)


def test_another_go_mod_is_another_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "stack", tmp_path / "cache")
    before = Installation.of(layout).path
    assert not SERVER.is_installed(layout)
    copied = tmp_path / "fabric-network"
    copied.mkdir()
    (copied / "go.mod").write_text((FOLDER / "go.mod").read_text() + "\n")
    (copied / "go.sum").write_text((FOLDER / "go.sum").read_text())
    monkeypatch.setattr("bal.stack.fabric.installation.resource", lambda _name: copied)
    assert Installation.of(layout).path != before


class TestBuilder:
    """The external builder of peers."""

    def test_it_takes_services_alone(self, tmp_path: Path) -> None:
        detect = FOLDER / "builder" / "bin" / "detect"
        for kind, code in (("ccaas", 0), ("golang", 1)):
            (tmp_path / "metadata.json").write_text(json.dumps({"type": kind, "label": "x"}))
            done = subprocess.run([detect, tmp_path, tmp_path], check=False, capture_output=True)
            assert done.returncode == code

    def test_it_tells_the_peer_where_and_by_which_certificates(self, tmp_path: Path) -> None:
        text = "-----BEGIN X-----\nabc+/=\n-----END X-----\n"
        files = ("CHAINCODE_CLIENT_KEY_FILE", "CHAINCODE_CLIENT_CERT_FILE", "CHAINCODE_ROOT_CERT_FILE")
        environment = {"PATH": os.environ["PATH"], "CHAINCODE_ADDRESS": "127.0.0.1:9"}
        for name in files:
            (tmp_path / name).write_text(name + text)
            environment[name] = str(tmp_path / name)
        release = FOLDER / "builder" / "bin" / "release"
        subprocess.run([release, tmp_path, tmp_path], env=environment, check=True)
        told = json.loads((tmp_path / "chaincode" / "server" / "connection.json").read_text())
        assert told["address"] == "127.0.0.1:9"
        assert told["tls_required"] is told["client_auth_required"] is True
        assert [told["client_key"], told["client_cert"], told["root_cert"]] == [name + text for name in files]

    def test_without_an_address_it_fails(self, tmp_path: Path) -> None:
        release = FOLDER / "builder" / "bin" / "release"
        done = subprocess.run(
            [release, tmp_path, tmp_path], env={"PATH": os.environ["PATH"]}, check=False, capture_output=True
        )
        assert done.returncode != 0


def test_a_network_keeps_its_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def configtxgen(made: Network, *argv: str) -> str:
        Path(argv[-1]).write_bytes(b"block")
        return ""

    monkeypatch.setattr(commands, "configtxgen", configtxgen)
    made = network(tmp_path)
    channel.prepare(made)
    written = yaml.safe_load((made.path / "configtx.yaml").read_text())
    assert written["Organizations"][0]["OrdererEndpoints"] == [f"{HOST}:{PORTS['dso-orderer']}"]
    channel.prepare(made)
    moved = Network(made.layout, {**PORTS, "market-peer": 19_999})
    with pytest.raises(Misconfigured, match="other ports"):
        channel.prepare(moved)


class TestAdmission:
    """What a guest gets."""

    def test_one_that_runs_a_bal_is_client_and_administrator(self, tmp_path: Path) -> None:
        made = network(tmp_path)
        for each in ORGANISATIONS:
            made.authority(each).prepare()
        told = SERVER.admit(made.layout, PORTS, Guest("bal-1", "market"))
        assert told["ledger"] == "fabric"
        fabric = told["fabric"]
        assert isinstance(fabric, dict)
        assert [each["msp"] for each in fabric["gateways"]] == ["MarketMSP", "DsoMSP", "RegulatorMSP"]
        assert {fabric["msp"], Path(fabric["admin_key"]).parent.name} == {"MarketMSP", "admin"}
        assert all(
            Path(fabric[name]).exists() for name in ("certificate", "key", "admin_certificate", "admin_key")
        )

    def test_an_auditor_is_a_client(self, tmp_path: Path) -> None:
        made = network(tmp_path)
        for each in ORGANISATIONS:
            made.authority(each).prepare()
        fabric = SERVER.admit(made.layout, PORTS, Guest("audit-1", "regulator", "bal-1"))["fabric"]
        assert isinstance(fabric, dict)
        assert "admin_key" not in fabric
        assert not list(made.path.rglob("audit-1/admin"))
