"""The one tree of errors: each says what happened, to what, and what to do about it."""

from typing import ClassVar

EXIT_NO = 1
"""Exit code when the answer is no: a proof fails, an audit finds something, a reading was refused."""
EXIT_UNUSABLE = 2
"""Exit code for wrong use, or when something needed is unavailable."""


class BalError(Exception):
    """Something went wrong in the BAL.

    The root of every error it raises on purpose: `what` happened, to which `subject`, and the `remedy` a person can try. None of the three may hold a secret, a plain
    meter identifier or a payload: they are logged, printed and sent to strangers.
    """

    exit_code: ClassVar[int] = EXIT_UNUSABLE
    status: ClassVar[int] = 500
    """HTTP status of the problem document (RFC 9457)."""
    slug: ClassVar[str] = "internal"
    """Last part of the problem document's `type`, `urn:bal:problem:{slug}`; stable, listed in docs/errors.md."""

    def __init__(self, what: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.remedy = remedy

    def __str__(self) -> str:
        return self.diagnostics()

    def diagnostics(self) -> str:
        """Return one line for people: what happened, to what, what to do."""
        line = f"{self.subject}: {self.what}" if self.subject else self.what
        return f"{line} ({self.remedy})" if self.remedy else line

    def problem(self) -> dict[str, object]:
        """Return the members of an `application/problem+json` document (RFC 9457)."""
        document: dict[str, object] = {
            "type": f"urn:bal:problem:{self.slug}",
            "title": (type(self).__doc__ or self.slug).splitlines()[0],
            "status": self.status,
            "detail": self.what,
        }
        if self.subject:
            document["subject"] = self.subject
        if self.remedy:
            document["remedy"] = self.remedy
        return document


class Malformed(BalError):
    """Something given to the BAL does not have the form it must have."""

    status = 400
    slug = "malformed"


class Unreadable(Malformed):
    """A message cannot be read as a whole: nothing of it was accepted."""

    status = 422
    slug = "unreadable"


class TooLarge(Malformed):
    """Something is larger than its limit."""

    status = 413
    slug = "too-large"


class Refused(BalError):
    """A request was understood and is not allowed."""

    exit_code = EXIT_NO
    status = 403
    slug = "refused"


class Unauthenticated(BalError):
    """The caller did not prove who it is."""

    status = 401
    slug = "unauthenticated"


class NotFound(BalError):
    """What was asked for does not exist here."""

    status = 404
    slug = "not-found"


class UnknownSource(NotFound):
    """The named source is not registered."""

    slug = "unknown-source"


class Erased(NotFound):
    """What was asked for has been erased."""

    status = 410
    slug = "erased"


class NotYetAnchored(BalError):
    """The entry is stored but its batch has no anchor on the ledger yet."""

    status = 409
    slug = "not-yet-anchored"


class Conflict(BalError):
    """What was asked for contradicts what is there."""

    status = 409
    slug = "conflict"


class Misconfigured(BalError):
    """A setting is missing or wrong."""

    slug = "misconfigured"


class Unavailable(BalError):
    """A part the BAL needs does not answer now; trying again later may help."""

    status = 503
    slug = "unavailable"


class Overloaded(Unavailable):
    """Work has piled up past its limit; senders keep their messages until it is done."""

    slug = "overloaded"


class HomeLocked(Unavailable):
    """Another process writes this home."""

    slug = "home-locked"


class StoreFailed(Unavailable):
    """The Shared Customer Database did not do what it was asked."""

    slug = "store-failed"


class StoreUnavailable(StoreFailed):
    """The Shared Customer Database does not answer now; what was asked of it may have been done."""

    slug = "store-unavailable"


class LaneLost(BalError):
    """This worker no longer holds its lane: it stops at once."""

    status = 503
    slug = "lane-lost"


class LedgerError(BalError):
    """The ledger did not do what it was asked."""

    status = 502
    slug = "ledger"


class LedgerUnavailable(LedgerError):
    """The ledger was not reached: nothing was submitted."""

    status = 503
    slug = "ledger-unavailable"


class LedgerOutcomeUnknown(LedgerError):
    """A transaction was submitted and its outcome is not known: read the anchor to settle it."""

    slug = "ledger-outcome-unknown"


class LedgerRefused(LedgerError):
    """The contract refused a transaction for good; `code` is the contract's reason."""

    exit_code = EXIT_NO
    status = 409
    slug = "ledger-refused"

    def __init__(self, what: str, *, code: str, subject: str = "", remedy: str = "") -> None:
        super().__init__(what, subject=subject, remedy=remedy)
        self.code = code


class LedgerAltered(LedgerError):
    """The ledger's own file was altered; `block` is the first block that does not fit."""

    slug = "ledger-altered"

    def __init__(self, what: str, *, block: int, subject: str = "", remedy: str = "") -> None:
        super().__init__(what, subject=subject, remedy=remedy)
        self.block = block


class PublishRefused(BalError):
    """An output refuses the events of one source; that source is parked, the others go on."""

    slug = "publish-refused"

    def __init__(self, what: str, *, source: str, remedy: str = "") -> None:
        super().__init__(what, subject=source, remedy=remedy)
        self.source = source


class Invalid(BalError):
    """A certificate, a chain of anchors or a row does not prove what it says."""

    exit_code = EXIT_NO
    status = 422
    slug = "invalid"


class NothingToTrust(BalError):
    """A proof was to be checked and no trusted anchors were given."""

    slug = "nothing-to-trust"
