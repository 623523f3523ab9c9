"""Records: a certificate as Kafka carries it, with CloudEvents headers in binary mode.

Source: CloudEvents 1.0.2, Kafka Protocol Binding 1.0.2, section 3.2: attributes are headers `ce_…` in UTF-8, the data is
the value, its type stands in `content-type`.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bal.core.certified import CertifiedBatch
from bal.core.reading import Reading, natural_key_digest
from bal.core.source import Source
from bal.publish.kafka.topics import certified_topic, granted_topic

READING: Final = b"bal.certified.reading"
"""`ce_type` of a certified reading."""
ERASURE: Final = b"bal.certified.erasure"
"""`ce_type` of the certified note of an erasure."""
READING_KEY: Final = "bal-reading-key"
_CONTENT: Final = ("content-type", b"application/json")
_VERSION: Final = ("ce_specversion", b"1.0")


class Record(NamedTuple):
    """One record of one topic."""

    source: str
    topic: str
    key: bytes
    """The measuring point (pseudonym); of an erasure, which has none, the source."""
    value: bytes
    """The certificate."""
    headers: list[tuple[str, bytes]]


def records(
    batch: CertifiedBatch, sources: frozenset[str], registered: Mapping[str, Source]
) -> Iterator[Record]:
    """Yield the records of `sources` in `batch`, in order: on the topic of the source, then on those of its grants.

    A grant of single measuring points holds no erasures: the note of one does not say which point it was of.
    """
    time = ("ce_time", batch.commitment.time.encode())
    origins = {source: ("ce_source", f"/sources/{source}".encode()) for source in sources}
    topics = {source: certified_topic(source) for source in sources}
    granted = {source: _granted(registered.get(source)) for source in sources}
    for index, entry, certificate in batch.certificates(sources):
        source = entry.source
        value, identity = certificate.encode(), ("ce_id", str(batch.address(index)).encode())
        if isinstance(entry, Reading):
            digest = natural_key_digest(entry.natural_key).hex().encode()
            kind, key = ("ce_type", READING), entry.point.encode()
            headers = [_VERSION, kind, origins[source], identity, time, _CONTENT, (READING_KEY, digest)]
            yield Record(source, topics[source], key, value, headers)
            for topic in granted[source].get(entry.point, ()):
                yield Record(source, topic, key, value, headers)
        else:
            headers = [_VERSION, ("ce_type", ERASURE), origins[source], identity, time, _CONTENT]
            yield Record(source, topics[source], source.encode(), value, headers)


def _granted(source: Source | None) -> dict[str, list[str]]:
    """Return the topics each measuring point of a source is copied to."""
    found: dict[str, list[str]] = {}
    for grant in source.grants if source is not None else ():
        for point in grant.points:
            found.setdefault(point, []).append(granted_topic(grant.subscriber))
    return found
