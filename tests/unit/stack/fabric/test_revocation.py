"""Revocation lists, and the change of the channel's configuration that carries them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from fabric_protos.common.configtx_pb2 import Config
from fabric_protos.msp.msp_config_pb2 import FabricMSPConfig, MSPConfig

from bal.core.errors import NotFound
from bal.stack.fabric import revocation
from bal.stack.fabric.authority import Authority
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS
from bal.stack.layout import Layout


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
