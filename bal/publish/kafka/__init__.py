"""Apache Kafka: one topic a source, one record a certificate; topics and rights follow from the registrations."""

from bal.publish.kafka.access import KafkaAccess
from bal.publish.kafka.publisher import KafkaPublisher
from bal.publish.kafka.registrations import KafkaTopics
from bal.publish.kafka.topics import CERTIFIED, GRANTED, Family, certified_topic, granted_topic, read_families

__all__ = [
    "CERTIFIED",
    "GRANTED",
    "Family",
    "KafkaAccess",
    "KafkaPublisher",
    "KafkaTopics",
    "certified_topic",
    "granted_topic",
    "read_families",
]
