# ruff: noqa: INP001, T201
"""Evaluate, submit, read the event of what was submitted: one function of a chaincode, from the command line.

python fabric_client.py --gateway localhost:7051 --tls-ca ca.pem --msp Org1MSP --certificate cert.pem --key key.pem \
    --channel mychannel --chaincode basic submit CreateAsset asset1 blue
"""

import argparse
import asyncio
import sys
from pathlib import Path

from bal import fabric


async def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return an exit code."""
    identity = fabric.Identity.from_pem(arguments.msp, arguments.certificate.read_bytes())
    signer = fabric.private_key_signer(arguments.key.read_bytes())
    endpoints = [
        fabric.Endpoint(address, tls_roots=ca.read_bytes())
        for address, ca in zip(arguments.gateway, arguments.tls_ca, strict=True)
    ]
    async with fabric.connect(identity=identity, signer=signer, endpoints=endpoints) as gateway:
        network = gateway.network(arguments.channel)
        contract = network.contract(arguments.chaincode)
        try:
            if arguments.verb == "evaluate":
                print((await contract.evaluate(arguments.function, *arguments.arguments)).decode())
                return 0
            submitted = await contract.submit_async(arguments.function, *arguments.arguments)
            print(submitted.result.decode())
            status = await submitted.status()
            status.check()
            print(f"committed as {status.transaction_id} in block {status.block_number}")
            async with network.filtered_block_events(start_block=status.block_number) as blocks:
                block = await anext(blocks)
                print(f"that block holds {len(block.filtered_transactions)} transactions")
        except fabric.ContractError as error:
            for detail in error.details:
                print(f"the contract refused at {detail.msp_id}: {detail.message}", file=sys.stderr)
            return 1
        except fabric.FabricError as error:
            print(f"{error} (the transaction is {error.outcome.value})", file=sys.stderr)
            return 2
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--gateway", action="append", required=True, help="host:port of a peer; may be repeated"
    )
    parser.add_argument(
        "--tls-ca", action="append", required=True, type=Path, help="its TLS CA, PEM; as often"
    )
    parser.add_argument("--msp", required=True, help="MSP id of the organisation of the certificate")
    parser.add_argument("--certificate", required=True, type=Path, help="who signs, PEM")
    parser.add_argument("--key", required=True, type=Path, help="the key of that certificate, PEM")
    parser.add_argument("--channel", required=True)
    parser.add_argument("--chaincode", required=True)
    parser.add_argument("verb", choices=["evaluate", "submit"])
    parser.add_argument("function")
    parser.add_argument("arguments", nargs="*")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
