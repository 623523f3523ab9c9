"""Members of a channel by its configuration: which certificates are an organisation's, and whose signature holds."""

from collections.abc import Iterable
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fabric_protos.common import configtx_pb2
from fabric_protos.msp import msp_config_pb2

from bal.anchor.fabric.block import Endorsement


class Membership:
    """CA certificates by organisation, as a configuration block of the channel states them (`msp.FabricMSPConfig`)."""

    def __init__(self, config: configtx_pb2.Config | None = None) -> None:
        self._authorities: dict[str, list[x509.Certificate]] = {}
        groups = config.channel_group.groups["Application"].groups if config is not None else {}
        for group in groups.values():
            msp = msp_config_pb2.MSPConfig.FromString(group.values["MSP"].value)
            members = msp_config_pb2.FabricMSPConfig.FromString(msp.config)
            self._authorities[members.name] = [
                x509.load_pem_x509_certificate(each)
                for each in (*members.root_certs, *members.intermediate_certs)
            ]

    @property
    def organisations(self) -> frozenset[str]:
        """MSP ids of the members."""
        return frozenset(self._authorities)

    @property
    def enough(self) -> int:
        """How many of them make a majority: what endorses a transaction."""
        return len(self._authorities) // 2 + 1

    def signers(self, endorsements: Iterable[Endorsement]) -> set[str]:
        """Return the organisations whose signatures hold: by a certificate of theirs, under what was endorsed."""
        return {each.msp for each in endorsements if self._holds(each)}

    def _holds(self, endorsement: Endorsement) -> bool:
        try:
            certificate = _certificate(endorsement.certificate)
            key = certificate.public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                return False
            key.verify(endorsement.signature, endorsement.signed, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return any(
            _issued(authority, certificate) for authority in self._authorities.get(endorsement.msp, ())
        )


@lru_cache(maxsize=256)
def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


@lru_cache(maxsize=1024)
def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Tell whether `authority` signed `certificate`; validity times are those of the signing, long past."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
