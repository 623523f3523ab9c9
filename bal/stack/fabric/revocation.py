"""Taking an identity back: its certificate enters its organisation's revocation list, the list the channel's configuration.

Fabric has no look-up of revocations: peers and orderers know the lists that stand in the channel's configuration, and
refuse what a revoked identity signs from the block on that changed it. Source: Fabric docs, `config_update` and `msp`.
"""

import fcntl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
from bal.stack.fabric.commands import CommandFailed
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHANNEL, ORGANISATIONS, Organisation

_PARTS: Final = ("Application", "Orderer")
_MSP: Final = "MSP"


def revoke_guest(network: Network, organisation: Organisation, name: str) -> None:
    """Revoke every identity of a guest; return once all peers that run know. Admitted again, it gets new ones.

    What it had is handed out no more as soon as it stands in the list. Raises `NotFound`, and `Unavailable` when too few
    orderers are there to change the channel, or a peer that runs does not follow: the next call goes on from there.
    """
    with _alone(network):
        _withdraw(network.authority(organisation), name)
        publish(network, organisation)


def publish_waiting(network: Network) -> None:
    """Publish what was revoked and did not get into the channel, of every organisation. Raises `Unavailable`."""
    with _alone(network):
        for each in ORGANISATIONS:
            authority = network.authority(each)
            if _content(authority.revocations) != _content(authority.published):
                publish(network, each)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _withdraw(authority: Authority, name: str) -> None:
    """Put what a guest has into the list and out of reach; one of whom that was done before is no harm."""
    folder, kept = authority.guests / name, authority.path / "revoked"
    if folder.is_dir():
        crl = add(authority, (each.serial_number for each in authority.certificates(name)))
        kept.mkdir(mode=0o700, exist_ok=True)
        folder.rename(kept / f"{name}.{_number(crl)}")
    elif not any(kept.glob(f"{name}.*")):  # names hold no '.'
        message = "nobody of this name was admitted"
        raise NotFound(message, subject=name, remedy="see the folder of guests of its organisation")


def add(authority: Authority, serials: Iterable[int]) -> x509.CertificateRevocationList:
    """Add certificates to the list of an organisation's CA and sign it anew; nothing else happens."""
    path = authority.revocations
    before = x509.load_pem_x509_crl(path.read_bytes()) if path.exists() else None
    entries = {each.serial_number: each for each in before or ()}
    number = _number(before) if before else 0
    for serial in serials:
        entries.setdefault(serial, revoked_entry(serial))
    ca, key = authority.signer("ca")
    crl = revocation_list(ca, key, entries.values(), number + 1)
    write_file(path, crl.public_bytes(serialization.Encoding.PEM), PUBLIC, replace=True)
    return crl


def publish(network: Network, organisation: Organisation) -> None:
    """Put an organisation's revocation list into the channel's configuration; return once all peers that run have it.

    A peer that does not run gets it before anything else that happened since.
    """
    authority = network.authority(organisation)
    crl = authority.revocations.read_bytes()
    with tempfile.TemporaryDirectory(dir=network.path) as folder:
        file = Path(folder) / "block"
        commands.patiently(partial(_order, network, organisation, crl, file))
        for each in ORGANISATIONS:
            if network.process(each, "peer").pid is not None:
                commands.patiently(partial(_await, network, each, file, organisation.msp, crl))
    write_file(authority.published, crl, PUBLIC, replace=True)


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


def _order(network: Network, organisation: Organisation, crl: bytes, file: Path) -> None:
    """Have the change ordered through whichever orderer takes it, one's own first, unless the channel has it.

    An answer that was lost, and an orderer that is behind, are settled by looking again.
    """
    failed: CommandFailed | None = None
    for each in sorted(ORGANISATIONS, key=lambda each: each != organisation):
        place = commands.orderer(network, each)
        try:
            config = _fetched(network, organisation, file, place)
            if revocations(config, organisation.msp) == [crl]:
                return
            file.write_bytes(_envelope(revocation_update(config, organisation.msp, crl)).SerializeToString())
            commands.peer(network, organisation, "channel", "update", *place, "-c", CHANNEL, "-f", str(file))
        except CommandFailed as error:
            failed = failed or error
        else:
            return
    if failed is not None:
        raise failed


def revocations(config: Config, msp: str) -> list[bytes]:
    """Return the revocation lists that a channel's configuration has of an organisation."""
    value = config.channel_group.groups[_PARTS[0]].groups[msp].values[_MSP].value
    return list(FabricMSPConfig.FromString(MSPConfig.FromString(value).config).revocation_list)


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


def _await(network: Network, organisation: Organisation, file: Path, msp: str, crl: bytes) -> None:
    if revocations(_fetched(network, organisation, file), msp) != [crl]:
        message = "its peer has not got the revocation list yet"
        raise Unavailable(message, subject=organisation.name, remedy="wait")


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


@contextmanager
def _alone(network: Network) -> Iterator[None]:
    """Hold the lists of a network as their one writer."""
    with (network.path / "revocation.lock").open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
