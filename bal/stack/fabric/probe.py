"""Real transactions on the network: what tells that it can be used."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from bal.core.errors import Unavailable
from bal.fabric import Deadlines, Endpoint, FabricError, Gateway, Identity, connect, private_key_signer
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ORGANISATIONS, Organisation
from bal.stack.layout import Layout

# A query, handed in as a transaction: the ledger's state does not grow by it, its blocks by a few kilobytes.
_CALL: Final = ("ListLogs", "", "1")
Answer = TypeVar("Answer")

_PAUSE: Final = 0.2
_SECONDS: Final = 60.0
_DEADLINES: Final = Deadlines(evaluate=5.0, endorse=10.0, submit=5.0, commit_status=10.0)


def probe(network: Network, seconds: float = 0.0) -> str:
    """Have a transaction endorsed by all organisations through each gateway, and one committed by all peers.

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
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bal.stack.fabric.probe"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=seconds + _SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stdout.strip() or done.stderr.strip()[-1000:]
        remedy = "see the logs of its peer, orderer and chaincode"
        raise Unavailable(said, subject="fabric", remedy=remedy)
    return done.stdout.strip()


async def _probe(network: Network, seconds: float) -> str:
    end = time.monotonic() + seconds
    first = ORGANISATIONS[0]
    await _all(_until(end, each, partial(_endorse, network, each)) for each in ORGANISATIONS)
    transaction = await _until(end, first, partial(_submit, network, first))
    await _all(_until(end, each, partial(_await, network, each, transaction)) for each in ORGANISATIONS)
    return "a transaction endorsed by all three organisations through each gateway, and one committed by all three"


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
        except FabricError as error:
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


async def _submit(network: Network, organisation: Organisation) -> str:
    """Have a transaction committed; return its id."""
    async with gateway(network, organisation) as opened:
        contract = opened.network(CHANNEL).contract(CHAINCODE)
        submitted = await contract.submit_async(*_CALL)
        (await submitted.status()).check()
        return submitted.transaction_id


async def _await(network: Network, organisation: Organisation, transaction: str) -> None:
    """Return once an organisation's own peer has committed a transaction."""
    async with gateway(network, organisation) as opened:
        (await opened.network(CHANNEL).new_commit(transaction).status()).check()


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
