"""Reports on Kafka: what was refused, on the topic of the BAL that refused it."""

from collections.abc import Sequence

from bal.core.stored import Report
from bal.publish.kafka.access import KafkaAccess
from bal.publish.kafka.publisher import KafkaPublisher
from bal.publish.kafka.records import report_record
from bal.publish.kafka.topics import rejected_topic


class KafkaReports:
    """`bal.rejected.{identity}`, the identity being this BAL's own on Kafka: operators that share a Kafka share no topic.

    By a producer of its own: a topic that is missing or refuses holds up no certified reading.
    """

    def __init__(self, access: KafkaAccess) -> None:
        self._topic = rejected_topic(access.principal)
        self._producer = KafkaPublisher(access)

    async def report(self, reports: Sequence[Report]) -> None:
        """Return once Kafka has acknowledged these reports, in order. `Unavailable`, `PublishRefused`."""
        await self._producer.send([report_record(each, self._topic) for each in reports])

    async def close(self) -> None:
        """Disconnect."""
        await self._producer.close()
