"""Hyperledger Fabric as a server of the stack."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from bal.core.errors import Malformed, NotFound, Unavailable
from bal.core.names import is_name
from bal.resources import resource
from bal.stack import toolchain
from bal.stack.fabric import channel, lifecycle
from bal.stack.fabric.installation import VERSION, Installation
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import (
    CHAINCODE,
    CHANNEL,
    ORGANISATIONS,
    Organisation,
    organisation,
)
from bal.stack.fabric.probe import probe
from bal.stack.fabric.revocation import publish_waiting, revoke_guest
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Tell

_READY_SECONDS: Final = 120.0


class Fabric:
    """Three organisations, each a Raft orderer, a peer and a chaincode process; see `bal.stack.server.Server`."""

    name: str = "fabric"
    downloads: str = f"Hyperledger Fabric {VERSION} from the Go module proxy, 110 MB, then built by Go"
    disk: int = 1500
    """Modules 430, what Go keeps of a build 460, commands 100, a network's first data 400."""
    memory: int = 1024
    """900 for nine processes under load."""

    def missing(self) -> Sequence[Missing]:
        """Return what lacks of Go."""
        return toolchain.all_missing([toolchain.go(resource("fabric-network") / "go.mod")])

    def is_installed(self, layout: Layout) -> bool:
        """Tell whether the commands of this go.mod are built."""
        return Installation.of(layout).is_complete()

    def install(self, layout: Layout, tell: Tell) -> None:
        """Download and build the commands."""
        installation = Installation.of(layout)
        if not installation.is_complete():
            installation.make(tell)

    def port_names(self) -> Sequence[str]:
        """Return seven names for each organisation."""
        return [name for each in ORGANISATIONS for name in each.port_names]

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        """Return orderers, peers, chaincode processes."""
        return Network(layout, ports).processes()

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        """Make the network on first use, start what does not run, bring the contract up to its present text."""
        network = Network(layout, ports)
        channel.prepare(network)
        if not lifecycle.is_packed(network):
            for each in ORGANISATIONS:
                network.process(each, "chaincode").stop()
            lifecycle.pack(network)
        if self._runs(network):
            publish_waiting(network)
            return
        for process in network.processes():
            process.start()
        try:
            with ThreadPoolExecutor(2 * len(ORGANISATIONS)) as pool:
                joins = [
                    pool.submit(join, network, each)
                    for each in ORGANISATIONS
                    for join in (channel.join_orderer, self._join_peer)
                ]
                for join in joins:
                    join.result()
            lifecycle.deploy(network, tell)
            self._ready(network, _READY_SECONDS)
            publish_waiting(network)
        except Unavailable as error:
            self._explain(network, error)
            raise

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        """Have a transaction endorsed through every gateway, and one ordered and committed by all."""
        return self._ready(Network(layout, ports))

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        """Return addresses, organisations and where their certificates lie."""
        network = Network(layout, ports)
        return {
            "version": VERSION,
            "channel": CHANNEL,
            "chaincode": CHAINCODE,
            "commands": str(network.installation.path / "bin"),
            "config": str(network.installation.configuration),
            "organisations": {each.name: self._organisation(network, each) for each in ORGANISATIONS},
        }

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        """Issue the guest's identity: a client; one that runs a BAL an administrator as well, to register its logs.

        Its own organisation's peer comes first among the gateways. An identity that was revoked and that the channel has
        not heard of yet is published first: `Unavailable` when that fails.
        """
        if not is_name(guest.name):
            message = "a guest's name has 1 to 48 of a-z, 0-9 and -"
            raise Malformed(message, subject=guest.name, remedy="choose such a name")
        network = Network(layout, ports)
        publish_waiting(network)
        own = organisation(guest.organisation)
        authority = network.authority(own)
        certificate, key = authority.guest(guest.name, "client")
        settings: dict[str, object] = {
            "gateways": [
                self._gateway(network, each) for each in sorted(ORGANISATIONS, key=lambda each: each != own)
            ],
            "channel": CHANNEL,
            "chaincode": CHAINCODE,
            "msp": own.msp,
            "certificate": str(certificate),
            "key": str(key),
        }
        if not guest.audits:
            certificate, key = authority.guest(guest.name, "admin")
            settings |= {"admin_certificate": str(certificate), "admin_key": str(key)}
        return {"ledger": "fabric", "fabric": settings}

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        """Revoke the guest's identities in whichever organisation it has some."""
        network = Network(layout, ports)
        found = False
        for each in ORGANISATIONS:
            with suppress(NotFound):
                revoke_guest(network, each, name)
                found = True
        return found

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        """Stop chaincode, then peers, then orderers."""
        for process in reversed(self.processes(layout, ports)):
            process.stop()

    def _join_peer(self, network: Network, organisation: Organisation) -> None:
        lifecycle.install(network, organisation)
        channel.join_peer(network, organisation)

    def _runs(self, network: Network) -> bool:
        """Tell whether nothing is to be done."""
        if not lifecycle.is_deployed(network):
            return False
        try:
            self._ready(network)
        except Unavailable:
            return False
        return True

    def _ready(self, network: Network, seconds: float = 0.0) -> str:
        for process in network.processes():
            if process.pid is None:
                message = "this process does not run"
                raise Unavailable(message, subject=process.name, remedy="`bal stack up` starts it")
        return probe(network, seconds)

    def _organisation(self, network: Network, each: Organisation) -> dict[str, object]:
        authority = network.authority(each)
        certificate, key = authority.member("admin")
        return {
            **self._gateway(network, each),
            "msp": each.msp,
            "orderer": network.address(each, "orderer"),
            "orderer_admin": network.address(each, "orderer-admin"),
            "peer_operations": network.address(each, "peer-operations"),
            "orderer_operations": network.address(each, "orderer-operations"),
            "chaincode": network.address(each, "chaincode"),
            "member_ca": str(authority.ca),
            "admin_msp": str(authority.path / "admin" / "msp"),
            "admin_certificate": str(certificate),
            "admin_key": str(key),
            "guests": str(authority.guests),
        }

    def _gateway(self, network: Network, each: Organisation) -> dict[str, object]:
        return {
            "address": network.address(each, "peer"),
            "msp": each.msp,
            "ca": str(network.authority(each).tls_ca),
        }

    def _explain(self, network: Network, error: Unavailable) -> None:
        """Add the end of the log of a process that has ended to an error."""
        for process in network.processes():
            if process.pid is None:
                raise Unavailable(
                    f"it has ended: {process.tail()}", subject=process.name, remedy="see the rest of its log"
                ) from error
