"""Kafka as the settings name it, and all that goes there: certified readings, and what was refused."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from bal.config import KafkaSettings, Settings
from bal.core.errors import Misconfigured
from bal.granting import Grants
from bal.metrics import Metrics
from bal.ports import Publisher
from bal.publish.kafka import KafkaAccess, KafkaPublisher, KafkaReports, KafkaTopics
from bal.registry import Registry
from bal.reporting import Reporting
from bal.store.sqlite import SqliteQuarantine
from bal.system import SystemClock


class OpenedKafka(NamedTuple):
    """Kafka as an output, and as a place where registrations take effect."""

    publisher: Publisher
    topics: Grants


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


@asynccontextmanager
async def open_kafka(
    settings: Settings, registry: Registry, quarantine: SqliteQuarantine, metrics: Metrics
) -> AsyncIterator[OpenedKafka]:
    """Open Kafka as an output, and report what comes into quarantine meanwhile. `Misconfigured`."""
    access = kafka_access(settings.kafka)
    async with AsyncExitStack() as stack:
        publisher, reports = KafkaPublisher(access, registry.all), KafkaReports(access)
        stack.push_async_callback(publisher.close)
        stack.push_async_callback(reports.close)
        pause = settings.lane.retry_seconds
        reporting = Reporting(quarantine, reports, SystemClock(), metrics, longest_pause=pause)
        await stack.enter_async_context(reporting.beside())
        yield OpenedKafka(publisher, KafkaTopics(access, quarantine.readers))
