"""Revocation lists, and the change of the channel's configuration that carries them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from fabric_protos.common.common_pb2 import Block, BlockData, Envelope, Payload
from fabric_protos.common.configtx_pb2 import Config, ConfigEnvelope, ConfigUpdate, ConfigUpdateEnvelope
from fabric_protos.msp.msp_config_pb2 import FabricMSPConfig, MSPConfig

from bal.core.errors import NotFound, Unavailable
from bal.pki.certificates import revocation_list
from bal.stack.fabric import Fabric, commands, revocation
from bal.stack.fabric.authority import Authority
from bal.stack.fabric.commands import CommandFailed
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS, Organisation
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an organisation's CAs."""
    made = Authority(tmp_path / "dso", "DsoMSP")
    made.prepare()
    return made


def serials(crl: x509.CertificateRevocationList) -> set[int]:
    return {each.serial_number for each in crl}


def test_a_list_grows_and_counts(authority: Authority) -> None:
    ca, _ = authority.signer("ca")
    for number, (added, all_of) in enumerate(
        (({11}, {11}), ({12, 13}, {11, 12, 13}), ({12}, {11, 12, 13})), 1
    ):
        crl = revocation.add(authority, added)
        assert serials(crl) == all_of
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number
        assert crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    assert serials(x509.load_pem_x509_crl(authority.revocations.read_bytes())) == {11, 12, 13}


def test_who_was_not_admitted_is_not_revoked(tmp_path: Path) -> None:
    network = Network(Layout(tmp_path, tmp_path), {})
    network.path.mkdir()
    with pytest.raises(NotFound, match="nobody of this name"):
        revocation.revoke_guest(network, ORGANISATIONS[0], "nobody")


def test_the_change_writes_one_value_in_two_places_and_reads_what_it_saw() -> None:
    config = Config(sequence=7)
    config.channel_group.version = 3
    for place, part in enumerate(("Application", "Orderer"), 1):
        group = config.channel_group.groups[part]
        group.version = 10 * place
        for msp in ("DsoMSP", "MarketMSP"):
            known = group.groups[msp]
            known.version = 4
            described = FabricMSPConfig(name=msp, root_certs=[b"ca"], revocation_list=[b"old"])
            known.values["MSP"].version = 5
            known.values["MSP"].mod_policy = "Admins"
            known.values["MSP"].value = MSPConfig(config=described.SerializeToString()).SerializeToString()

    update = revocation.revocation_update(config, "DsoMSP", b"new")

    assert update.read_set.version == update.write_set.version == 3
    for place, part in enumerate(("Application", "Orderer"), 1):
        read, written = (each.groups[part] for each in (update.read_set, update.write_set))
        assert read.version == written.version == 10 * place
        assert set(written.groups) == {"DsoMSP"}
        assert not read.groups["DsoMSP"].values
        value = written.groups["DsoMSP"].values["MSP"]
        assert (value.version, value.mod_policy) == (6, "Admins")
        told = FabricMSPConfig.FromString(MSPConfig.FromString(value.value).config)
        assert (told.name, list(told.root_certs), list(told.revocation_list)) == ("DsoMSP", [b"ca"], [b"new"])


PORTS = {name: 20_000 + index for index, name in enumerate(Fabric().port_names())}
DSO = ORGANISATIONS[0]


class Channel:
    """A network whose orderers and peers are this object; Fabric's `peer` command is answered by it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.network = Network(Layout(path / "stack", path / "cache"), PORTS)
        self.network.path.mkdir(parents=True)
        for each in ORGANISATIONS:
            self.network.authority(each).prepare()
        self.configuration = Config(sequence=1)
        self.orderers = {each.name for each in ORGANISATIONS}
        """Those that answer."""
        self.behind: set[str] = set()
        """Peers that run and never follow."""
        self.running = {each.name for each in ORGANISATIONS}
        self.updates: list[str] = []
        self.loses_answers = False
        for part in ("Application", "Orderer"):
            for each in ORGANISATIONS:
                value = MSPConfig(config=FabricMSPConfig(name=each.msp).SerializeToString())
                group = self.configuration.channel_group.groups[part].groups[each.msp]
                group.values["MSP"].value = value.SerializeToString()
        self.first = Config.FromString(self.configuration.SerializeToString())
        monkeypatch.setattr(commands, "peer", self.peer)
        monkeypatch.setattr(commands.patiently, "__defaults__", (0.3,))
        monkeypatch.setattr(Process, "pid", property(lambda process: self.pid(process.name)))

    def pid(self, name: str) -> int | None:
        """Return what says that a peer runs."""
        return 1 if name.split("-")[1] in self.running else None

    def peer(self, network: Network, organisation: Organisation, *argv: str) -> str:
        file = Path(argv[argv.index("-f") + 1] if "-f" in argv else argv[3])
        if "-o" not in argv:
            if organisation.name not in self.running:
                raise CommandFailed("peer channel fetch", "connection refused")
            file.write_bytes(self.block(organisation.name in self.behind))
            return ""
        asked = {network.address(each, "orderer"): each.name for each in ORGANISATIONS}
        orderer = asked[argv[argv.index("-o") + 1]]
        if orderer not in self.orderers:
            raise CommandFailed("peer channel", "connection refused")
        if argv[1] == "fetch":
            file.write_bytes(self.block())
            return ""
        self.updates.append(orderer)
        envelope = Envelope.FromString(file.read_bytes())
        update = ConfigUpdate.FromString(
            ConfigUpdateEnvelope.FromString(Payload.FromString(envelope.payload).data).config_update
        )
        for part, written in update.write_set.groups.items():
            for msp, group in written.groups.items():
                known = self.configuration.channel_group.groups[part].groups[msp].values["MSP"]
                known.value = group.values["MSP"].value
        if self.loses_answers:
            raise CommandFailed("peer channel update", "the answer was lost")
        return ""

    def block(self, old: bool = False) -> bytes:
        config = self.first if old else self.configuration
        payload = Payload(data=ConfigEnvelope(config=config).SerializeToString())
        envelope = Envelope(payload=payload.SerializeToString()).SerializeToString()
        return bytes(Block(data=BlockData(data=[envelope])).SerializeToString())

    def admit(self, name: str, organisation: Organisation = DSO) -> set[int]:
        """Admit a guest; return the numbers of its certificates."""
        authority = self.network.authority(organisation)
        return {number(authority.guest(name, role)[0]) for role in ("client", "admin")}

    def revoked(self, organisation: Organisation = DSO) -> set[int]:
        """Return what the channel refuses of an organisation."""
        lists = revocation.revocations(self.configuration, organisation.msp)
        return {serial for each in lists for serial in serials(x509.load_pem_x509_crl(each))}


def number(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Channel:
    return Channel(tmp_path, monkeypatch)


def test_client_and_administrator_are_revoked_and_new_ones_issued(channel: Channel) -> None:
    before, other = channel.admit("bal-1"), channel.admit("bal-2")
    revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert channel.revoked() == before
    assert channel.admit("bal-1") & before == set()
    assert channel.admit("bal-2") == other
    assert channel.revoked(ORGANISATIONS[1]) == set()


def test_again_is_no_harm(channel: Channel) -> None:
    before = channel.admit("bal-1")
    for _ in range(2):
        revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert channel.revoked() == before
    assert len(channel.updates) == 1


def test_with_ones_own_orderer_down_another_takes_it(channel: Channel) -> None:
    before = channel.admit("bal-1")
    channel.orderers.remove("dso")
    revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert (channel.revoked(), channel.updates) == (before, ["market"])


def test_a_lost_answer_is_settled_by_looking(channel: Channel) -> None:
    before = channel.admit("bal-1")
    channel.loses_answers = True
    revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert (channel.revoked(), channel.updates) == (before, ["dso"])


def test_without_orderers_nothing_revoked_is_handed_out_and_the_next_call_ends_it(channel: Channel) -> None:
    before = channel.admit("bal-1")
    channel.orderers.clear()
    with pytest.raises(Unavailable, match="refused"):
        revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert channel.revoked() == set()
    after = channel.admit("bal-1")
    assert after & before == set()
    channel.orderers.add("regulator")
    revocation.publish(channel.network, DSO)
    assert channel.revoked() == before


@pytest.mark.parametrize("verb", ["connect", "up"])
def test_what_the_channel_has_not_heard_of_is_published_by_the_next_command(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    before, layout = channel.admit("bal-1"), channel.network.layout
    channel.orderers.clear()
    with pytest.raises(Unavailable):
        revocation.revoke_guest(channel.network, DSO, "bal-1")

    def command() -> None:
        if verb == "connect":
            Fabric().admit(layout, PORTS, Guest("bal-1", "dso"))
        else:
            Fabric().start(layout, PORTS, print)

    for name in ("channel.prepare", "lifecycle.is_packed"):
        monkeypatch.setattr(f"bal.stack.fabric.server.{name}", lambda _network: True)
    monkeypatch.setattr(Fabric, "_runs", lambda _self, _network: True)
    with pytest.raises(Unavailable):
        command()
    channel.orderers.add("market")
    command()
    assert channel.revoked() == before
    channel.orderers.clear()
    command()  # nobody is asked again
    assert len(channel.updates) == 1


def test_an_organisation_that_is_down_is_not_waited_for(channel: Channel) -> None:
    before = channel.admit("bal-1")
    channel.running.remove("market")
    revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert channel.revoked() == before


def test_a_peer_that_runs_and_does_not_follow_is_told(channel: Channel) -> None:
    before = channel.admit("bal-1")
    channel.behind.add("market")
    with pytest.raises(Unavailable, match="has not got the revocation list yet") as error:
        revocation.revoke_guest(channel.network, DSO, "bal-1")
    assert error.value.subject == "market"
    assert channel.admit("bal-1") & before == set()
    channel.behind.clear()
    revocation.revoke_guest(channel.network, DSO, "bal-1")


def test_two_at_once_lose_nobody(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has read the list waits for the other to have read it too, in vain as long as one is held out."""
    before = channel.admit("bal-1") | channel.admit("bal-2")
    both = threading.Barrier(2)

    def signed(*arguments: Any) -> x509.CertificateRevocationList:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return revocation_list(*arguments)

    monkeypatch.setattr("bal.stack.fabric.revocation.revocation_list", signed)
    with ThreadPoolExecutor(2) as pool:
        for done in [
            pool.submit(revocation.revoke_guest, channel.network, DSO, name) for name in ("bal-1", "bal-2")
        ]:
            done.result()
    assert channel.revoked() == before
