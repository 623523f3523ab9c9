"""Topics and rights as an administrator of Kafka makes them. Blocking: librdkafka does the talking."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from bal.core.errors import BalError, Refused, Unavailable
from bal.publish.kafka.access import library
from bal.publish.kafka.topics import Family

_SECONDS: Final = 10.0
_PREFIX: Final = "User:"
_CLUSTER: Final = "kafka-cluster"


class Right(NamedTuple):
    """One allowance: `principal` may `operation` on everything the pattern names, from anywhere."""

    principal: str
    """Common name of a certificate."""
    operation: str
    """`READ`, `WRITE`, `IDEMPOTENT_WRITE`: each brings the right to describe with it."""
    kind: str
    """`TOPIC`, `GROUP`, `BROKER` (the cluster)."""
    name: str
    prefixed: bool = False


def may_read(principal: str, topic: str) -> Right:
    """Return the right to read a topic."""
    return Right(principal, "READ", "TOPIC", topic)


def may_write(principal: str, topic: str) -> Right:
    """Return the right to write to a topic."""
    return Right(principal, "WRITE", "TOPIC", topic)


def groups_of(principal: str) -> list[Right]:
    """Return the rights to the consumer groups of a principal: those called as it, and `{name}.…`.

    Names hold no '.', so that nobody's groups begin as somebody else's.
    """
    return [
        Right(principal, "READ", "GROUP", principal),
        Right(principal, "READ", "GROUP", f"{principal}.", prefixed=True),
    ]


class KafkaAdministrator:
    """Makes and shows topics and rights. Raises `Unavailable`, and `Refused` when Kafka does not let it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._kafka = library("confluent_kafka")
        self._admin = library("confluent_kafka.admin")
        self._client = self._admin.AdminClient(dict(settings))

    def topics(self) -> set[str]:
        """Return the names of all topics."""
        return set(self._ask(lambda: self._client.list_topics(timeout=_SECONDS)).topics)

    def partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has, None when there is no such topic."""
        found = self._ask(lambda: self._client.list_topics(topic, timeout=_SECONDS)).topics[topic]
        if found.error is not None:
            if found.error.code() == self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise _told(self._kafka, found.error, topic)
        return len(found.partitions)

    def ensure_topic(self, topic: str, family: Family) -> list[str]:
        """Make a topic unless it is there; return in words where one that is there differs from its family."""
        found = self.partitions(topic)
        if found is None:
            made = self._admin.NewTopic(
                topic,
                num_partitions=family.partitions,
                replication_factor=family.replication,
                config=family.settings(),
            )
            try:
                self._all(self._client.create_topics([made], request_timeout=_SECONDS).values(), topic)
            except _AlreadyThereError:
                return []  # made by another at this very moment, from the same file
            return []
        differences = []
        if found != family.partitions:
            differences.append(f"{found} partitions, not {family.partitions}: they never change")
        resource = self._admin.ConfigResource(self._admin.ResourceType.TOPIC, topic)
        (answer,) = self._client.describe_configs([resource], request_timeout=_SECONDS).values()
        standing = self._result(answer, topic)
        for name, value in family.settings().items():
            held = standing[name].value if name in standing else None
            if held != value:
                differences.append(f"{name} is {held}, not {value}")
        return differences

    def remove_topics(self, topics: Sequence[str]) -> None:
        """Remove topics with all that is on them; one that is not there is no harm."""
        there = sorted(self.topics() & set(topics))
        if there:
            self._all(self._client.delete_topics(there, operation_timeout=_SECONDS).values(), "topics")

    def allow_idempotence(self, principal: str) -> None:
        """Let a principal be an idempotent producer, whatever it may write."""
        self.allow([Right(principal, "IDEMPOTENT_WRITE", "BROKER", _CLUSTER)])

    def rights(self, kind: str = "ANY") -> list[Right]:
        """Return every allowance there is, of a kind of resource or of all."""
        admin = self._admin
        everything = admin.AclBindingFilter(
            getattr(admin.ResourceType, kind),
            None,
            admin.ResourcePatternType.ANY,
            None,
            None,
            admin.AclOperation.ANY,
            admin.AclPermissionType.ALLOW,
        )
        found = self._result(self._client.describe_acls(everything, request_timeout=_SECONDS), "rights")
        return [
            Right(
                each.principal.removeprefix(_PREFIX),
                each.operation.name,
                each.restype.name,
                each.name,
                each.resource_pattern_type == admin.ResourcePatternType.PREFIXED,
            )
            for each in found
        ]

    def allow(self, rights: Sequence[Right]) -> None:
        """Give rights; again is no harm."""
        if rights:
            bindings = [self._binding(right, self._admin.AclBinding) for right in rights]
            self._all(self._client.create_acls(bindings, request_timeout=_SECONDS).values(), "rights")

    def deny(self, rights: Sequence[Right]) -> None:
        """Take rights away; none is no harm."""
        if rights:
            filters = [self._binding(right, self._admin.AclBindingFilter) for right in rights]
            self._all(self._client.delete_acls(filters, request_timeout=_SECONDS).values(), "rights")

    def _binding(self, right: Right, form: Callable[..., Any]) -> Any:
        admin = self._admin
        pattern = admin.ResourcePatternType.PREFIXED if right.prefixed else admin.ResourcePatternType.LITERAL
        return form(
            getattr(admin.ResourceType, right.kind),
            right.name,
            pattern,
            _PREFIX + right.principal,
            "*",
            getattr(admin.AclOperation, right.operation),
            admin.AclPermissionType.ALLOW,
        )

    def _all(self, answers: Iterable["Future[Any]"], subject: str) -> None:
        for answer in answers:
            self._result(answer, subject)

    def _result(self, answer: "Future[Any]", subject: str) -> Any:
        return self._ask(lambda: answer.result(_SECONDS), subject)

    def _ask(self, question: Callable[[], Any], subject: str = "") -> Any:
        try:
            return question()
        except self._kafka.KafkaException as error:
            if error.args[0].code() == self._kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                raise _AlreadyThereError from error
            raise _told(self._kafka, error.args[0], subject) from error
        except TimeoutError as error:
            message = "Kafka does not answer"
            raise Unavailable(message, subject=subject, remedy="try again") from error


class _AlreadyThereError(Exception):
    """A topic was made by another meanwhile."""


def _told(kafka: Any, error: Any, subject: str) -> BalError:
    """Return what an error of librdkafka means here."""
    codes = kafka.KafkaError
    if error.code() in {
        codes.CLUSTER_AUTHORIZATION_FAILED,
        codes.TOPIC_AUTHORIZATION_FAILED,
        codes.GROUP_AUTHORIZATION_FAILED,
    }:
        message = "this certificate may not make topics and rights on Kafka"
        return Refused(message, subject=subject, remedy="name the administrator's as kafka.admin_certificate")
    message = f"Kafka did not do what it was asked ({error.name()})"
    return Unavailable(message, subject=subject, remedy="look at Kafka, and try again")
