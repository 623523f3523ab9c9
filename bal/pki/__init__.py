"""A development certificate authority: server and client certificates, revocation. Production brings its own CA."""

from bal.pki.authority import Authority, Issued
from bal.pki.reserved import RESERVED, gateway_of, refuse_reserved
from bal.pki.revocation import RevocationList

__all__ = ["RESERVED", "Authority", "Issued", "RevocationList", "gateway_of", "refuse_reserved"]
