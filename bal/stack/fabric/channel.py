"""The channel: its first block, and orderers and peers that join it."""

import json
import re
from string import Template
from typing import Final

from bal.core.errors import Misconfigured
from bal.durable import PUBLIC, make_directory, write_file
from bal.resources import resource
from bal.stack.fabric import commands
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHANNEL, HOST, ORGANISATIONS, Organisation

_PROFILE: Final = "Certification"
_ADDRESSES: Final = ("orderer", "peer", "chaincode")


def prepare(network: Network) -> None:
    """Make identities, and the first block of the channel unless it is there.

    The block names the addresses of all: `Misconfigured` when they are asked to be others now.
    """
    make_directory(network.path)
    for each in ORGANISATIONS:
        network.authority(each).prepare()
    kept = network.path / "addresses.json"
    addresses = {
        f"{each.name}-{part}": network.address(each, part) for each in ORGANISATIONS for part in _ADDRESSES
    }
    if network.block.exists():
        if json.loads(kept.read_text(encoding="utf-8")) != addresses:
            message = "the ledger's own record says other ports"
            raise Misconfigured(
                message, subject="fabric", remedy="give it those it had, or begin anew with --fresh"
            )
        return
    template = Template((resource("fabric-network") / "configtx.yaml").read_text(encoding="utf-8"))
    places = {}
    for each in ORGANISATIONS:
        for part in ("orderer", "peer"):
            places[f"{each.name}_{part}_host"] = HOST
            places[f"{each.name}_{part}_port"] = str(network.ports[f"{each.name}-{part}"])
    content = template.substitute(places).encode()
    write_file(network.path / "configtx.yaml", content, PUBLIC, replace=True)
    write_file(kept, json.dumps(addresses, indent=2).encode(), PUBLIC, replace=True)
    begun = network.path / "channel.begun"
    commands.configtxgen(network, "-profile", _PROFILE, "-channelID", CHANNEL, "-outputBlock", str(begun))
    begun.rename(network.block)


def join_orderer(network: Network, organisation: Organisation) -> None:
    """Let an orderer serve the channel, unless it does."""
    known = commands.patiently(lambda: commands.osnadmin(network, organisation, "list"))
    if re.search(rf'"name": "{CHANNEL}"', known):
        return
    block = str(network.block)
    commands.osnadmin(network, organisation, "join", "--channelID", CHANNEL, "--config-block", block)


def join_peer(network: Network, organisation: Organisation) -> None:
    """Let a peer follow the channel, unless it does."""
    known = commands.patiently(lambda: commands.peer(network, organisation, "channel", "list"))
    if CHANNEL not in known.splitlines():
        commands.peer(network, organisation, "channel", "join", "-b", str(network.block))
