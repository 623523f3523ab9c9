"""cassandra-driver set up as we use it: protocol 5, local quorum, retries only where a repetition does no harm."""

import logging
from typing import Any

from cassandra import ConsistencyLevel, ProtocolVersion
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    ConstantReconnectionPolicy,
    DCAwareRoundRobinPolicy,
    RetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from bal.store.cassandra.access import CassandraAccess

_log = logging.getLogger(__name__)  # the standard library's: verbs that set up no logging stay silent
_RECONNECT_SECONDS = 0.5
_HEARTBEAT_SECONDS = 10
_CONNECT_SECONDS = 15.0
_DDL_SECONDS = 20


class Repetitions:
    """A request is asked of another host once, if it may be asked twice; everything else is its caller's to settle."""

    def on_read_timeout(self, query: Any, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """Decide when some replica was slow."""
        return self._again(query, retry_num)

    def on_write_timeout(self, query: Any, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """Decide when it may have been written or not."""
        return self._again(query, retry_num)

    def on_unavailable(self, query: Any, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """Decide when too few replicas are up; one coordinator may know less than another."""
        return self._again(query, retry_num)

    def on_request_error(self, query: Any, *_: Any, retry_num: int, **__: Any) -> tuple[int, None]:
        """Decide when the connection broke or the coordinator failed."""
        return self._again(query, retry_num)

    @staticmethod
    def _again(query: Any, retry_num: int) -> tuple[int, None]:
        may = retry_num == 0 and query is not None and query.is_idempotent
        return (RetryPolicy.RETRY_NEXT_HOST if may else RetryPolicy.RETHROW), None


class DriverLog(logging.Handler):
    """Hands on which of the driver's parts complained, without what it quotes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the kind of the event: its arguments may hold values and addresses."""
        text = str(record.msg)[:80] if record.args else record.funcName
        _log.debug("%s of the driver: %s", record.name, text)


def quieten() -> None:
    """Take the driver's log messages over; again is no harm."""
    logger = logging.getLogger("cassandra")
    if not any(isinstance(handler, DriverLog) for handler in logger.handlers):
        logger.addHandler(DriverLog(logging.WARNING))
    logger.propagate = False


def cluster(access: CassandraAccess) -> Any:
    """Return a driver's cluster that is not connected yet. `Misconfigured` when files of the access are no good."""
    quieten()
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=access.datacentre)),
        retry_policy=Repetitions(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=access.request_seconds,
        row_factory=tuple_factory,
    )
    tls = access.tls()
    return Cluster(
        list(access.hosts),
        port=access.port,
        protocol_version=ProtocolVersion.V5,
        compression=False,  # readings are small rows; a batch's record is compressed by us
        ssl_context=tls,
        ssl_options=None if tls is None else {"server_hostname": access.server_name},
        auth_provider=PlainTextAuthProvider(access.role, access.password()) if access.role else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECT_SECONDS, max_attempts=None),
        idle_heartbeat_interval=_HEARTBEAT_SECONDS,
        idle_heartbeat_timeout=_HEARTBEAT_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
        control_connection_timeout=_CONNECT_SECONDS,
        max_schema_agreement_wait=_DDL_SECONDS,
        schema_metadata_enabled=False,  # else each connection reads all tables of all keyspaces, again when any changes
        monitor_reporting_enabled=False,
    )


def connect(access: CassandraAccess) -> Any:
    """Return a driver's session. Raises the driver's errors, `Misconfigured` as `cluster` does; nothing is left open then."""
    connecting = cluster(access)
    try:
        session = connecting.connect()
        if access.keyspace:  # how it is replicated: which nodes have a row
            connecting.refresh_keyspace_metadata(access.keyspace, max_schema_agreement_wait=0)
    except BaseException:
        connecting.shutdown()
        raise
    return session
