"""The contract's life on the channel: each organisation installs and approves its text, then all use it.

Source: Fabric docs, `chaincode_lifecycle`.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bal.durable import PUBLIC, make_directory, write_file
from bal.stack.fabric import commands
from bal.stack.fabric.commands import CommandFailed
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ENDORSEMENT, ORGANISATIONS, Organisation
from chaincode_service.package import package, package_id, version

_CONTRACT: Final = ("--channelID", CHANNEL, "--name", CHAINCODE)
_UNCHANGED: Final = "unchanged content"


def is_packed(network: Network) -> bool:
    """Tell whether the package is that of the contract as it is now.

    A package of the same text is kept as it is: another release of a compressor would give it another id.
    """
    kept = network.package_id
    return kept.exists() and kept.read_text(encoding="ascii").partition(":")[0].endswith(version())


def pack(network: Network) -> None:
    """Write the package of the contract as it is now, and its id."""
    content = package()
    make_directory(network.package.parent)
    write_file(network.package, content, PUBLIC, replace=True)
    write_file(network.package_id, package_id(content).encode(), PUBLIC, replace=True)


def deploy(network: Network, tell: Callable[[str], None]) -> None:
    """See to it that the channel's contract is the one packed: approved by all, committed."""
    first = ORGANISATIONS[0]
    committed = commands.patiently(lambda: _committed(network, first))
    sequence = int(committed.get("sequence", 0))
    if committed.get("version") == version():
        _remember(network)
        return
    sequence += 1
    tell(f"contract {version()}: three organisations approve it")
    with ThreadPoolExecutor(len(ORGANISATIONS)) as pool:
        list(pool.map(lambda each: _approve(network, each, sequence), ORGANISATIONS))
    commands.patiently(lambda: _commit(network, first, sequence))
    _remember(network)


def is_deployed(network: Network) -> bool:
    """Tell whether the contract as it is now was committed by an earlier `deploy`."""
    return network.deployed.exists() and network.deployed.read_text(encoding="ascii") == version()


def _remember(network: Network) -> None:
    write_file(network.deployed, version().encode(), PUBLIC, replace=True)


def _committed(network: Network, organisation: Organisation) -> dict[str, Any]:
    """Return the contract's definition on the channel; empty when it has none."""
    try:
        said = _lifecycle(network, organisation, "querycommitted", *_CONTRACT, "--output", "json")
    except CommandFailed as failed:
        if "is not defined" in failed.said:
            return {}
        raise
    found: dict[str, Any] = json.loads(said)
    return found


def install(network: Network, organisation: Organisation) -> None:
    """Install the package at an organisation's peer, unless it is."""
    known = network.package_id.read_text(encoding="ascii")
    asked = ("queryinstalled", "--output", "json")
    said = commands.patiently(lambda: _lifecycle(network, organisation, *asked))
    if known not in {each["package_id"] for each in json.loads(said).get("installed_chaincodes", [])}:
        _lifecycle(network, organisation, "install", str(network.package))


def _approve(network: Network, organisation: Organisation, sequence: int) -> None:
    known = network.package_id.read_text(encoding="ascii")

    def approve() -> None:
        try:
            _lifecycle(
                network,
                organisation,
                "approveformyorg",
                *commands.orderer(network, organisation),
                *_definition(sequence),
                *("--package-id", known),
            )
        except CommandFailed as failed:
            if _UNCHANGED not in failed.said:
                raise

    # CommandFailed until the orderers have a leader.
    commands.patiently(approve)


def _commit(network: Network, organisation: Organisation, sequence: int) -> None:
    if _committed(network, organisation).get("version") == version():
        return
    place = (*commands.orderer(network, organisation), *commands.peers(network))
    _lifecycle(network, organisation, "commit", *place, *_definition(sequence))


def _definition(sequence: int) -> tuple[str, ...]:
    numbers = ("--version", version(), "--sequence", str(sequence))
    return (*_CONTRACT, *numbers, "--signature-policy", ENDORSEMENT)


def _lifecycle(network: Network, organisation: Organisation, *argv: str) -> str:
    return commands.peer(network, organisation, "lifecycle", "chaincode", *argv)
