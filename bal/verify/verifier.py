"""The answer to one certificate."""

from typing import NamedTuple, Protocol

from bal.core.certificate import Certificate, parse
from bal.core.commitment import Commitment
from bal.core.errors import Invalid
from bal.verify.anchors import TrustedAnchors


class Verdict(NamedTuple):
    """Whether a certificate proves its entry; `reason` says why not and is empty when it does."""

    valid: bool
    reason: str

    def to_json(self) -> dict[str, object]:
        """Return `{"valid", "reason"}`."""
        return self._asdict()


def verify(text: bytes | str, anchors: TrustedAnchors) -> Verdict:
    """Tell whether the certificate in `text` stands under the trusted anchors; what is no certificate does not.

    Raises `Invalid` only when `anchors` themselves no longer hold.
    """
    certificate = _read(text)
    if isinstance(certificate, Verdict):
        return certificate
    return _judge(certificate, anchors.find(certificate.address.log, certificate.address.seq))


class LedgerAnchors(Protocol):
    """Anchors as a ledger holds them; a `bal.ports.Ledger` is one."""

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return the anchor at `(log, seq)`, None where the ledger holds none."""
        ...


async def verify_on_ledger(text: bytes | str, ledger: LedgerAnchors) -> Verdict:
    """Tell whether the certificate in `text` stands under what `ledger` holds; raises what the ledger raises."""
    certificate = _read(text)
    if isinstance(certificate, Verdict):
        return certificate
    return _judge(certificate, await ledger.find(certificate.address.log, certificate.address.seq))


def _read(text: bytes | str) -> Certificate | Verdict:
    try:
        return parse(text)
    except Invalid as error:
        return Verdict(valid=False, reason=error.what)


def _judge(certificate: Certificate, trusted: Commitment | None) -> Verdict:
    if trusted is None:
        return Verdict(valid=False, reason="its anchor is not among the trusted ones")
    try:
        certificate.check(trusted)
    except Invalid as error:
        return Verdict(valid=False, reason=error.what)
    return Verdict(valid=True, reason="")
