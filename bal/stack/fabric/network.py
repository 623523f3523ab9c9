"""Where everything of the ledger's network lies on this machine, and the processes it is made of."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from bal.resources import resource
from bal.stack.fabric.authority import Authority
from bal.stack.fabric.installation import Installation
from bal.stack.fabric.organisations import HOST, ORGANISATIONS, SERVERS, Organisation
from bal.stack.layout import Layout
from bal.stack.process import Process

FOLDER: Final = "fabric"
_CHAINCODE_FILES: Final = (
    "CHAINCODE_CLIENT_KEY_FILE",
    "CHAINCODE_CLIENT_CERT_FILE",
    "CHAINCODE_ROOT_CERT_FILE",
)


@dataclass(frozen=True)
class Network:
    """The network of one stack."""

    layout: Layout
    ports: Mapping[str, int]

    @property
    def path(self) -> Path:
        """Return the network's folder."""
        return self.layout.server(FOLDER)

    @property
    def block(self) -> Path:
        """Return the first block of the channel: its configuration as the network was made."""
        return self.path / "channel.block"

    @property
    def package(self) -> Path:
        """Return the chaincode package that the organisations approved last."""
        return self.path / "chaincode" / "package.tar.gz"

    @property
    def package_id(self) -> Path:
        """Return the file with the id of that package."""
        return self.path / "chaincode" / "package-id"

    @property
    def deployed(self) -> Path:
        """Return the file with the version of the contract that was committed last from here."""
        return self.path / "chaincode" / "committed"

    @cached_property
    def installation(self) -> Installation:
        """Return the installed commands."""
        return Installation.of(self.layout)

    def authority(self, organisation: Organisation) -> Authority:
        """Return the CAs of an organisation."""
        return Authority(self.path / "organisations" / organisation.name, organisation.msp)

    def address(self, organisation: Organisation, part: str) -> str:
        """Return where a server of an organisation listens, host:port."""
        return f"{HOST}:{self.ports[f'{organisation.name}-{part}']}"

    def processes(self) -> list[Process]:
        """Return all processes: orderers first, then peers, then chaincode."""
        return [self.process(each, server) for server in SERVERS for each in ORGANISATIONS]

    def process(self, organisation: Organisation, server: str) -> Process:
        """Return one process of an organisation: `orderer`, `peer` or `chaincode`."""
        made = {"orderer": self._orderer, "peer": self._peer, "chaincode": self._chaincode}
        argv, environment = made[server](organisation)
        return Process(f"{FOLDER}-{organisation.name}-{server}", argv, self.layout, environment)

    def administration(self, organisation: Organisation) -> dict[str, str]:
        """Return the environment in which Fabric's `peer` command acts as an organisation's administrator."""
        authority = self.authority(organisation)
        return {
            "FABRIC_CFG_PATH": str(self.installation.configuration),
            "FABRIC_LOGGING_SPEC": "error",
            "CORE_PEER_ADDRESS": self.address(organisation, "peer"),
            "CORE_PEER_LOCALMSPID": organisation.msp,
            "CORE_PEER_MSPCONFIGPATH": str(authority.path / "admin" / "msp"),
            "CORE_PEER_TLS_ENABLED": "true",
            "CORE_PEER_TLS_ROOTCERT_FILE": str(authority.tls_ca),
        }

    def _orderer(self, organisation: Organisation) -> tuple[list[str], dict[str, str]]:
        path = self.authority(organisation).path / "orderer"
        data = self.path / "data" / f"{organisation.name}-orderer"
        tls = path / "tls"
        host, _, port = self.address(organisation, "orderer").partition(":")
        environment = {
            **settings("orderer.env"),
            "FABRIC_CFG_PATH": str(self.installation.configuration),
            "ORDERER_GENERAL_LISTENADDRESS": host,
            "ORDERER_GENERAL_LISTENPORT": port,
            "ORDERER_GENERAL_LOCALMSPID": organisation.msp,
            "ORDERER_GENERAL_LOCALMSPDIR": str(path / "msp"),
            "ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE": str(tls / "server.crt"),
            "ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY": str(tls / "server.key"),
            "ORDERER_FILELEDGER_LOCATION": str(data),
            "ORDERER_CONSENSUS_WALDIR": str(data / "wal"),
            "ORDERER_CONSENSUS_SNAPDIR": str(data / "snapshots"),
            "ORDERER_ADMIN_LISTENADDRESS": self.address(organisation, "orderer-admin"),
            "ORDERER_ADMIN_TLS_CLIENTROOTCAS": f"[{tls / 'ca.crt'}]",
            "ORDERER_OPERATIONS_LISTENADDRESS": self.address(organisation, "orderer-operations"),
            "ORDERER_OPERATIONS_TLS_CLIENTROOTCAS": f"[{tls / 'ca.crt'}]",
            "ORDERER_GENERAL_TLS_ROOTCAS": f"[{tls / 'ca.crt'}]",
        }
        for part in ("GENERAL_TLS", "ADMIN_TLS", "OPERATIONS_TLS"):
            environment[f"ORDERER_{part}_CERTIFICATE"] = str(tls / "server.crt")
            environment[f"ORDERER_{part}_PRIVATEKEY"] = str(tls / "server.key")
        return [str(self.installation.command("orderer"))], environment

    def _peer(self, organisation: Organisation) -> tuple[list[str], dict[str, str]]:
        path = self.authority(organisation).path / "peer"
        data = self.path / "data" / f"{organisation.name}-peer"
        tls = path / "tls"
        address = self.address(organisation, "peer")
        builder = {
            "name": "ccaas",
            "path": str(resource("fabric-network") / "builder"),
            "propagateEnvironment": ["CHAINCODE_ADDRESS", *_CHAINCODE_FILES],
        }
        files = (path / "chaincode" / "server.key", path / "chaincode" / "server.crt", tls / "ca.crt")
        environment = {
            **settings("peer.env"),
            "FABRIC_CFG_PATH": str(self.installation.configuration),
            "CORE_PEER_ID": f"peer.{organisation.name}",
            "CORE_PEER_ADDRESS": address,
            "CORE_PEER_LISTENADDRESS": address,
            "CORE_PEER_CHAINCODEADDRESS": self.address(organisation, "peer-chaincode"),
            "CORE_PEER_CHAINCODELISTENADDRESS": self.address(organisation, "peer-chaincode"),
            "CORE_PEER_LOCALMSPID": organisation.msp,
            "CORE_PEER_MSPCONFIGPATH": str(path / "msp"),
            "CORE_PEER_TLS_CERT_FILE": str(tls / "server.crt"),
            "CORE_PEER_TLS_KEY_FILE": str(tls / "server.key"),
            "CORE_PEER_TLS_ROOTCERT_FILE": str(tls / "ca.crt"),
            "CORE_PEER_FILESYSTEMPATH": str(data),
            "CORE_LEDGER_SNAPSHOTS_ROOTDIR": str(data / "snapshots"),
            "CORE_PEER_GOSSIP_BOOTSTRAP": address,
            "CORE_PEER_GOSSIP_ENDPOINT": address,
            "CORE_PEER_GOSSIP_EXTERNALENDPOINT": address,
            "CORE_OPERATIONS_LISTENADDRESS": self.address(organisation, "peer-operations"),
            "CORE_OPERATIONS_TLS_CERT_FILE": str(tls / "server.crt"),
            "CORE_OPERATIONS_TLS_KEY_FILE": str(tls / "server.key"),
            "CORE_OPERATIONS_TLS_CLIENTROOTCAS_FILES": str(tls / "ca.crt"),
            "CORE_CHAINCODE_EXTERNALBUILDERS": json.dumps([builder]),
            "CHAINCODE_ADDRESS": self.address(organisation, "chaincode"),
            **dict(zip(_CHAINCODE_FILES, map(str, files), strict=True)),
        }
        return [str(self.installation.command("peer")), "node", "start"], environment

    def _chaincode(self, organisation: Organisation) -> tuple[list[str], dict[str, str]]:
        tls = self.authority(organisation).path / "chaincode" / "tls"
        known = self.package_id.read_text(encoding="ascii") if self.package_id.exists() else ""
        environment = {
            "CHAINCODE_SERVER_ADDRESS": self.address(organisation, "chaincode"),
            "CHAINCODE_ID": known,
            "CHAINCODE_TLS_CERT": str(tls / "server.crt"),
            "CHAINCODE_TLS_KEY": str(tls / "server.key"),
            "CHAINCODE_CLIENT_CA_CERT": str(tls / "ca.crt"),
        }
        # -P: the folder it runs in is no place to import from.
        return [sys.executable, "-P", "-m", "chaincode_service"], environment


def settings(name: str) -> dict[str, str]:
    """Return the settings of a file of `fabric-network`, lines of NAME=VALUE."""
    lines = (resource("fabric-network") / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
