"""What the driver's errors mean, and that none of their texts gets through."""

import ssl

import pytest
from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    Unauthorized,
    Unavailable,
    WriteFailure,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.policies import WriteType
from cassandra.protocol import ErrorMessage, OverloadedErrorMessage, SyntaxException

from bal.core.errors import BalError, Misconfigured, StoreFailed, StoreUnavailable
from bal.store.cassandra.failures import failed, unreached

SECRET = "point 4711"
QUORUM = ConsistencyLevel.LOCAL_QUORUM


@pytest.mark.parametrize(
    "error",
    [
        OperationTimedOut({"127.0.0.1": SECRET}),
        WriteTimeout(SECRET, write_type=WriteType.CAS),
        WriteTimeout(SECRET, write_type=WriteType.SIMPLE),
        WriteFailure(SECRET, consistency=QUORUM, required_responses=2, received_responses=1),
        ReadTimeout(SECRET),
        Unavailable(SECRET, consistency=QUORUM, required_replicas=2, alive_replicas=1),
        OverloadedErrorMessage(0x1001, SECRET, None),
        ErrorMessage(0x1700, SECRET, None),  # CAS_WRITE_UNKNOWN, which this driver does not know by name
        ConnectionShutdown(SECRET),
        NoHostAvailable(SECRET, {"127.0.0.1": ConnectionShutdown(SECRET)}),
        AuthenticationFailed(f"Unable to perform authentication: {SECRET}"),
        Unauthorized(f"Unable to perform authorization of permissions: {SECRET}"),
        NoHostAvailable(SECRET, {"127.0.0.1": Unauthorized("Unable to perform authorization of super-user")}),
        TimeoutError(SECRET),
    ],
)
def test_no_answer_or_a_doubtful_one_leaves_the_outcome_open(error: Exception) -> None:
    known = failed(error)
    assert isinstance(known, StoreUnavailable)
    assert SECRET not in known.diagnostics()


@pytest.mark.parametrize(
    "error, words",
    [
        (Unauthorized(SECRET), "may not"),
        (InvalidRequest(f"table {SECRET} does not exist"), "not there"),
        (InvalidRequest(SECRET), "refused"),
        (SyntaxException(0x2000, SECRET, None), "refused"),
        (NoHostAvailable(SECRET, {"127.0.0.1": Unauthorized(SECRET)}), "may not"),
    ],
)
def test_a_refusal_is_final(error: Exception, words: str) -> None:
    known = failed(error)
    assert isinstance(known, StoreFailed)
    assert not isinstance(known, StoreUnavailable)
    assert words in known.what
    assert SECRET not in known.diagnostics()


def test_our_own_errors_stay() -> None:
    error = Misconfigured("as it was")
    assert failed(error) is error


@pytest.mark.parametrize(
    "error, kind, words",
    [
        (AuthenticationFailed(SECRET), Misconfigured, "password"),
        (AuthenticationFailed(f"Unable to perform authentication: {SECRET}"), StoreUnavailable, "reached"),
        (ConnectionRefusedError(SECRET), StoreUnavailable, "reached"),
        (ssl.SSLEOFError("EOF occurred in violation of protocol"), StoreUnavailable, "client's certificate"),
        (OSError("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"), Misconfigured, "client's certificate"),
        (OSError("[SSL: CERTIFICATE_VERIFY_FAILED] x"), Misconfigured, "server's certificate"),
    ],
)
def test_why_a_server_was_not_reached(error: Exception, kind: type[BalError], words: str) -> None:
    known = unreached(NoHostAvailable(SECRET, {"127.0.0.1": error}))
    assert type(known) is kind
    assert words in known.what
    assert SECRET not in known.diagnostics()
