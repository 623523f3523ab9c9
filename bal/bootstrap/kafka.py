"""Kafka as the settings name it."""

from bal.config import KafkaSettings
from bal.core.errors import Misconfigured
from bal.publish.kafka import KafkaAccess


def kafka_access(settings: KafkaSettings) -> KafkaAccess:
    """Return the access `settings` describe. `Misconfigured` where something is missing."""
    if settings.ca is None or settings.certificate is None or settings.key is None:
        message = "the CA, the certificate or its key is missing, and Kafka takes no one without"
        raise Misconfigured(message, subject="kafka.ca, certificate, key", remedy="set them in bal.toml")
    return KafkaAccess(
        servers=settings.servers,
        ca=settings.ca,
        certificate=settings.certificate,
        key=settings.key,
        admin_certificate=settings.admin_certificate,
        admin_key=settings.admin_key,
        topics=settings.topics,
    )
