"""Apache Kafka: a topic a source, a record a certificate, one topic of what was refused; rights by registrations."""

from bal.publish.kafka.access import KafkaAccess
from bal.publish.kafka.publisher import KafkaPublisher
from bal.publish.kafka.registrations import KafkaTopics
from bal.publish.kafka.reports import KafkaReports
from bal.publish.kafka.topics import (
    CERTIFIED,
    GRANTED,
    REJECTED,
    Family,
    certified_topic,
    granted_topic,
    read_families,
    rejected_topic,
)

__all__ = [
    "CERTIFIED",
    "GRANTED",
    "REJECTED",
    "Family",
    "KafkaAccess",
    "KafkaPublisher",
    "KafkaReports",
    "KafkaTopics",
    "certified_topic",
    "granted_topic",
    "read_families",
    "rejected_topic",
]
