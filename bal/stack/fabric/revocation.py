"""Taking an identity back: its certificate enters its organisation's revocation list, the list the channel's configuration.

Fabric has no look-up of revocations: peers and orderers know the lists that stand in the channel's configuration, and
refuse what a revoked identity signs from the block on that changed it. Source: Fabric docs, `config_update` and `msp`.
"""

import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fabric_protos.common.common_pb2 import CONFIG_UPDATE, Block, ChannelHeader, Envelope, Header, Payload
from fabric_protos.common.configtx_pb2 import Config, ConfigEnvelope, ConfigUpdate, ConfigUpdateEnvelope
from fabric_protos.msp.msp_config_pb2 import FabricMSPConfig, MSPConfig

from bal.core.errors import NotFound, Unavailable
from bal.durable import PUBLIC, write_file
from bal.pki.certificates import revocation_list, revoked_entry
from bal.stack.fabric import commands
from bal.stack.fabric.authority import Authority
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHANNEL, ORGANISATIONS, Organisation

_PARTS: Final = ("Application", "Orderer")
_MSP: Final = "MSP"


def revoke_guest(network: Network, organisation: Organisation, name: str) -> None:
    """Revoke every identity of a guest; return once all peers know. Admitted again, it gets new ones.

    Raises `NotFound`, `Unavailable` (the list is written then, and goes out with the next call).
    """
    authority = network.authority(organisation)
    folder = authority.guests / name
    found = sorted(folder.glob("*/cert.pem"))
    if not found:
        message = "nobody of this name was admitted"
        raise NotFound(message, subject=name, remedy=f"see the folder of guests of {organisation.name}")
    certificates = [x509.load_pem_x509_certificate(each.read_bytes()) for each in found]
    crl = add(authority, (each.serial_number for each in certificates))
    publish(network, organisation)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    kept = authority.path / "revoked"
    kept.mkdir(mode=0o700, exist_ok=True)
    folder.rename(kept / f"{name}.{number}")


def add(authority: Authority, serials: Iterable[int]) -> x509.CertificateRevocationList:
    """Add certificates to the list of an organisation's CA and sign it anew; nothing else happens."""
    path = authority.revocations
    before = x509.load_pem_x509_crl(path.read_bytes()) if path.exists() else None
    entries = {each.serial_number: each for each in before or ()}
    number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number if before else 0
    for serial in serials:
        entries.setdefault(serial, revoked_entry(serial))
    ca, key = authority.signer("ca")
    crl = revocation_list(ca, key, entries.values(), number + 1)
    write_file(path, crl.public_bytes(serialization.Encoding.PEM), PUBLIC, replace=True)
    return crl


def publish(network: Network, organisation: Organisation) -> None:
    """Put an organisation's revocation list into the channel's configuration; return once all peers have it."""
    crl = network.authority(organisation).revocations.read_bytes()
    with tempfile.TemporaryDirectory(dir=network.path) as folder:
        file = Path(folder) / "block"
        config = _fetched(network, organisation, file, commands.orderer(network, organisation))
        update = revocation_update(config, organisation.msp, crl)
        file.write_bytes(_envelope(update).SerializeToString())
        place = commands.orderer(network, organisation)
        commands.peer(network, organisation, "channel", "update", *place, "-c", CHANNEL, "-f", str(file))
        for each in ORGANISATIONS:
            commands.patiently(partial(_await, network, each, file, config.sequence + 1))


def revocation_update(config: Config, msp: str, crl: bytes) -> ConfigUpdate:
    """Return the change of a channel's configuration that gives an organisation this revocation list (PEM) alone.

    The organisation stands under applications and orderers; both must say the same of it. A change names the versions it
    has read and counts up that of what it writes.
    """
    update = ConfigUpdate(channel_id=CHANNEL)
    for group in (update.read_set, update.write_set):
        group.version = config.channel_group.version
        for part in _PARTS:
            known = config.channel_group.groups[part]
            group.groups[part].version = known.version
            group.groups[part].groups[msp].version = known.groups[msp].version
    for part in _PARTS:
        known = config.channel_group.groups[part].groups[msp].values[_MSP]
        wrapped = MSPConfig.FromString(known.value)
        described = FabricMSPConfig.FromString(wrapped.config)
        del described.revocation_list[:]
        described.revocation_list.append(crl)
        wrapped.config = described.SerializeToString(deterministic=True)
        written = update.write_set.groups[part].groups[msp].values[_MSP]
        written.version = known.version + 1
        written.mod_policy = known.mod_policy
        written.value = wrapped.SerializeToString(deterministic=True)
    return update


def _envelope(update: ConfigUpdate) -> Any:
    """Return a change as the `peer` command takes it to sign."""
    header = Header(channel_header=ChannelHeader(type=CONFIG_UPDATE, channel_id=CHANNEL).SerializeToString())
    data = ConfigUpdateEnvelope(
        config_update=update.SerializeToString(deterministic=True)
    ).SerializeToString()
    return Envelope(payload=Payload(header=header, data=data).SerializeToString())


def _fetched(network: Network, organisation: Organisation, file: Path, place: tuple[str, ...] = ()) -> Config:
    """Return the channel's configuration as an orderer has it, or without one as the organisation's peer has it."""
    commands.peer(network, organisation, "channel", "fetch", "config", str(file), *place, "-c", CHANNEL)
    block = Block.FromString(file.read_bytes())
    payload = Payload.FromString(Envelope.FromString(block.data.data[0]).payload)
    return ConfigEnvelope.FromString(payload.data).config


def _await(network: Network, organisation: Organisation, file: Path, sequence: int) -> None:
    if _fetched(network, organisation, file).sequence < sequence:
        message = "its peer has not got the revocation list yet"
        raise Unavailable(message, subject=organisation.name, remedy="wait")
