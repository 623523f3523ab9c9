"""What the service is told by its environment, in the names that Fabric's samples use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaincode_service.errors import Unconfigured
from chaincode_service.package import NAME, label, package, package_id

ADDRESS: Final = "CHAINCODE_SERVER_ADDRESS"
#: Either name, the first that is set; without one it is the id of the package made from this very code.
IDS: Final = ("CHAINCODE_ID", "CORE_CHAINCODE_ID_NAME")
CERTIFICATE: Final = "CHAINCODE_TLS_CERT"
KEY: Final = "CHAINCODE_TLS_KEY"
CLIENT_CA: Final = "CHAINCODE_CLIENT_CA_CERT"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the service listens, as which package, and by which certificates."""

    address: str
    """host:port"""
    package_id: str
    certificate: bytes
    key: bytes
    client_ca: bytes
    """CA of those who may call: the organisation's peers."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment. Raises `Unconfigured` for what lacks, and for a package of other code than this."""
        address = environment.get(ADDRESS, "")
        if not address.rpartition(":")[2].isdecimal():
            raise Unconfigured(f"{ADDRESS} must be host:port")
        known = next((environment[name] for name in IDS if environment.get(name)), "") or package_id(
            package()
        )
        found = known.partition(":")[0]
        if found.startswith(f"{NAME}-") and found != label():
            raise Unconfigured(
                f"the organisations approved {found}, this is {label()}: run the code they approved, or let them approve this"
            )
        return cls(address, known, *(_file(environment, name) for name in (CERTIFICATE, KEY, CLIENT_CA)))


def _file(environment: Mapping[str, str], name: str) -> bytes:
    path = environment.get(name, "")
    if not path:
        raise Unconfigured(f"{name} must name a PEM file: peer and chaincode speak mutual TLS, nothing else")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Unconfigured(f"{name} names a file that cannot be read: {error.strerror}") from None
