"""What the driver's errors mean for us. Their texts may quote values, so none of them is passed on."""

import ssl
from collections.abc import Mapping

from cassandra import (
    AlreadyExists,
    AuthenticationFailed,
    InvalidRequest,
    RequestValidationException,
    Unauthorized,
)
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ServerError, SyntaxException

from bal.core.errors import BalError, Misconfigured, StoreFailed, StoreUnavailable

_UNABLE = "Unable to perform auth"
"""How Cassandra begins a refusal (`authentication of…`, `authorization of…`) that says nothing of password or rights: it
could not read its own tables in time. Sources: PasswordAuthenticator, CassandraAuthorizer of 5.0."""


def failed(error: BaseException) -> BalError:
    """Return what a request's error means.

    `StoreUnavailable`: no answer, or one that leaves open whether it was done; the same goes for a conditional write,
    whose outcome is then to be read at serial consistency. `StoreFailed`: refused, nothing was done.
    """
    if isinstance(error, BalError):
        return error
    if isinstance(error, NoHostAvailable):
        within = _first(error.errors)
        if isinstance(within, RequestValidationException):
            error = within
    if isinstance(error, Unauthorized) and _UNABLE not in str(error):
        message = "this role may not do that"
        return StoreFailed(message, subject="cassandra.role", remedy="use a role that was granted it")
    if isinstance(error, AuthenticationFailed) and _UNABLE not in str(error):
        return _not_admitted()
    if isinstance(error, InvalidRequest) and "does not exist" in str(error):
        message = "the keyspace or a table is not there"
        return StoreFailed(message, subject="cassandra.keyspace", remedy="run `bal scd migrate`")
    if isinstance(error, InvalidRequest | SyntaxException | AlreadyExists):
        message = f"the database refused a request ({type(error).__name__})"
        return StoreFailed(message, remedy="run `bal scd status`: are its tables of this release?")
    if isinstance(error, ServerError):
        message = "the database failed at a request"
        return StoreUnavailable(message, remedy="look at its log")
    message = f"the database does not answer ({type(error).__name__})"
    return StoreUnavailable(message, remedy="wait, or start it")


def unreached(error: BaseException) -> BalError:
    """Return what an error while connecting means."""
    if isinstance(error, NoHostAvailable):
        causes = list(error.errors.values()) if isinstance(error.errors, Mapping) else []
        for cause in causes:
            if isinstance(cause, AuthenticationFailed) and _UNABLE not in str(cause):
                return _not_admitted()
            if "CERTIFICATE_VERIFY_FAILED" in str(cause):
                message = "the server's certificate is not from the CA, or has another name"
                return Misconfigured(message, subject="cassandra.ca", remedy="check ca and server_name")
            if "alert" in str(cause).lower():
                message = "the server refuses this client's certificate"
                return Misconfigured(
                    message, subject="cassandra.certificate", remedy="use one of its CA that is not revoked"
                )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            message = (
                "the server breaks off the TLS connection: it ends, or refuses this client's certificate"
            )
            return StoreUnavailable(message, subject="cassandra.certificate", remedy="look at its log")
        names = ", ".join(sorted({type(cause).__name__ for cause in causes}))
        message = f"Cassandra cannot be reached ({names or 'no address'})"
        return StoreUnavailable(message, subject="cassandra.hosts", remedy="start it, or correct its address")
    return failed(error)


def _not_admitted() -> BalError:
    message = "the role or its password is wrong"
    return Misconfigured(message, subject="cassandra.role", remedy="correct role and password_file")


def _first(errors: object) -> object:
    return next(iter(errors.values()), None) if isinstance(errors, Mapping) else None
