"""Records: a certificate, or the report of a refusal, as Kafka carries it, with CloudEvents headers in binary mode.

Source: CloudEvents 1.0.2, Kafka Protocol Binding 1.0.2, section 3.2: attributes are headers `ce_…` in UTF-8, the data is
the value, its type stands in `content-type`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bal.core.certified import CertifiedBatch
from bal.core.instant import instant_text
from bal.core.reading import Reading, natural_key_digest
from bal.core.source import Source
from bal.core.stored import Report
from bal.publish.kafka.topics import certified_topic, granted_topic

READING: Final = b"bal.certified.reading"
"""`ce_type` of a certified reading."""
ERASURE: Final = b"bal.certified.erasure"
"""`ce_type` of the certified note of an erasure."""
REJECTION: Final = b"bal.rejected"
"""`ce_type` of the report of a refusal."""
READING_KEY: Final = "bal-reading-key"
_CONTENT: Final = ("content-type", b"application/json")
_VERSION: Final = ("ce_specversion", b"1.0")


class Record(NamedTuple):
    """One record of one topic."""

    source: str
    topic: str
    key: bytes
    """The measuring point (pseudonym); of an erasure and of a report, which have none, the source."""
    value: bytes
    """The certificate, or the report."""
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


def report_record(report: Report, topic: str) -> Record:
    """Return the record of a report; its `ce_id` is the number of the refusal in the quarantine."""
    source, at = report.refused.source, instant_text(report.refused.quarantined_at)
    value = json.dumps(report.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
    headers = [
        _VERSION,
        ("ce_type", REJECTION),
        ("ce_source", f"/sources/{source}".encode()),
        ("ce_id", str(report.refused.id).encode()),
        ("ce_time", at.encode()),
        _CONTENT,
    ]
    return Record(source, topic, source.encode(), value, headers)


def _granted(source: Source | None) -> dict[str, list[str]]:
    """Return the topics each measuring point of a source is copied to."""
    found: dict[str, list[str]] = {}
    for grant in source.grants if source is not None else ():
        for point in grant.points:
            found.setdefault(point, []).append(granted_topic(grant.subscriber))
    return found
