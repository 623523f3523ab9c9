"""Real transactions on the network: what tells that it can be used."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from bal.core.errors import Unavailable
from bal.fabric import (
    Deadlines,
    Endpoint,
    FabricError,
    Gateway,
    Identity,
    Status,
    connect,
    private_key_signer,
)
from bal.stack.fabric import commands
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ORGANISATIONS, Organisation
from bal.stack.layout import Layout

# A query, handed in as a transaction: the ledger's state does not grow by it, its blocks by a few kilobytes.
_CALL: Final = ("ListLogs", "", "1")
Answer = TypeVar("Answer")

_PAUSE: Final = 0.2
_SECONDS: Final = 90.0
"""What one try of everything may take: the deadlines below one after the other, and an orderer that hangs."""
_DEADLINES: Final = Deadlines(evaluate=5.0, endorse=10.0, submit=5.0, commit_status=10.0)


def probe(network: Network, seconds: float = 0.0) -> str:
    """Have a transaction endorsed by all organisations through each gateway, and one ordered and committed by all.

    Tries again for `seconds`. Done in a process of its own: the callers' threads have event loops of their own or none,
    and gRPC's asyncio wants one for all. Raises `Unavailable` naming the organisation through which it did not succeed.
    """
    layout = network.layout
    asked = {
        "path": str(layout.path),
        "cache": str(layout.cache),
        "ports": dict(network.ports),
        "seconds": seconds,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bal.stack.fabric.probe"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=seconds + _SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"no transaction was endorsed and committed in {error.timeout:.0f} s"
        remedy = "see the logs of peers, orderers and chaincode; `bal stack down` ends what hangs"
        raise Unavailable(message, subject="fabric", remedy=remedy) from error
    if done.returncode:
        said = done.stdout.strip() or done.stderr.strip()[-1000:]
        remedy = "see the logs of its peer, orderer and chaincode"
        raise Unavailable(said, subject="fabric", remedy=remedy)
    return done.stdout.strip()


async def _probe(network: Network, seconds: float) -> str:
    end = time.monotonic() + seconds
    first = ORGANISATIONS[0]
    await _all(_until(end, each, partial(_endorse, network, each)) for each in ORGANISATIONS)
    committed = await _until(end, first, partial(_submit, network, first))
    await _all(
        _until(end, each, partial(step, network, each, committed))
        for step in (_deliver, _await)
        for each in ORGANISATIONS
    )
    return "a transaction endorsed by all three organisations through each gateway, ordered and committed by all three"


async def _all(work: Iterable[Awaitable[object]]) -> None:
    """Do all at a time; raise the first error once all have ended."""
    for found in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found


async def _until(end: float, organisation: Organisation, work: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what `work` returns, tried again until `end`; raise `Unavailable` naming the organisation."""
    while True:
        try:
            return await work()
        except (FabricError, Unavailable) as error:
            if time.monotonic() > end:
                raise Unavailable(str(error), subject=organisation.name) from error
        await asyncio.sleep(_PAUSE)


async def _endorse(network: Network, organisation: Organisation) -> None:
    """Have every organisation's chaincode answer through the gateway of one, and the gateway find endorsers by itself.

    A peer that was started again is there at once for itself and knows of the others only when gossip has met them:
    until then those who name an organisation are told that it has no peer.
    """
    everybody = tuple(each.msp for each in ORGANISATIONS)
    async with gateway(network, organisation) as opened:
        contract = opened.network(CHANNEL).contract(CHAINCODE)
        await contract.evaluate(*_CALL, organisations=(organisation.msp,))
        await contract.new_proposal(*_CALL, organisations=everybody).endorse()
        await contract.new_proposal(*_CALL).endorse()


async def _submit(network: Network, organisation: Organisation) -> Status:
    """Have a transaction committed."""
    async with gateway(network, organisation) as opened:
        submitted = await opened.network(CHANNEL).contract(CHAINCODE).submit_async(*_CALL)
        status = await submitted.status()
        status.check()
        return status


async def _deliver(network: Network, organisation: Organisation, committed: Status) -> None:
    """Return once an organisation's own orderer has given out the block of a transaction.

    The block is new: an orderer that has it follows the leader, or is it.
    """
    block = ("channel", "fetch", str(committed.block_number), os.devnull, "-c", CHANNEL)
    place = commands.orderer(network, organisation)
    await asyncio.to_thread(commands.peer, network, organisation, *block, *place)


async def _await(network: Network, organisation: Organisation, committed: Status) -> None:
    """Return once an organisation's own peer has committed a transaction."""
    async with gateway(network, organisation) as opened:
        (await opened.network(CHANNEL).new_commit(committed.transaction_id).status()).check()


def gateway(network: Network, organisation: Organisation) -> Gateway:
    """Return a gateway at an organisation's own peer as its administrator."""
    authority = network.authority(organisation)
    certificate, key = authority.member("admin")
    return connect(
        identity=Identity.from_pem(organisation.msp, certificate.read_bytes()),
        endpoints=[Endpoint(network.address(organisation, "peer"), authority.tls_ca.read_bytes())],
        signer=private_key_signer(key.read_bytes()),
        deadlines=_DEADLINES,
    )


def main() -> int:
    """Read on standard input which network to probe; print what came of it."""
    asked = json.load(sys.stdin)
    network = Network(Layout(Path(asked["path"]), Path(asked["cache"])), asked["ports"])
    try:
        sys.stdout.write(asyncio.run(_probe(network, asked["seconds"])) + "\n")
    except Unavailable as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
