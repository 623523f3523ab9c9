"""Real transactions on the network: what tells that it can be used."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bal.core.errors import Unavailable
from bal.fabric import Deadlines, Endpoint, FabricError, Gateway, Identity, connect, private_key_signer
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ORGANISATIONS, Organisation
from bal.stack.layout import Layout

# A query, handed in as a transaction: the ledger's state does not grow by it, its blocks by a few kilobytes.
_CALL: Final = ("ListLogs", "", "1")
_PAUSE: Final = 0.2
_SECONDS: Final = 60.0
_DEADLINES: Final = Deadlines(evaluate=5.0, endorse=10.0, submit=5.0, commit_status=10.0)


def probe(network: Network, seconds: float = 0.0) -> str:
    """Have transactions endorsed by two organisations and committed, one through every organisation's gateway.

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
    found = await asyncio.gather(
        *(_organisation(network, each, end) for each in ORGANISATIONS), return_exceptions=True
    )
    for error in found:
        if error is not None:
            raise error
    return "committed a transaction endorsed by two organisations through each of three gateways"


async def _organisation(network: Network, organisation: Organisation, end: float) -> None:
    async with gateway(network, organisation) as opened:
        contract = opened.network(CHANNEL).contract(CHAINCODE)
        while True:
            try:
                await contract.evaluate(*_CALL, organisations=(organisation.msp,))
                await contract.submit(*_CALL)
                return
            except FabricError as error:
                if time.monotonic() > end:
                    raise Unavailable(str(error), subject=organisation.name) from error
            await asyncio.sleep(_PAUSE)


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
