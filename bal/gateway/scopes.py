"""Scopes: what a client may be allowed to do, one for each route."""

from typing import Final

READINGS: Final = "readings"
QUERY: Final = "query"
CERTIFICATES: Final = "certificates"
BATCHES: Final = "batches"
ANCHORS: Final = "anchors"
SOURCES: Final = "sources"
REJECTIONS: Final = "rejections"
STREAM: Final = "stream"
VERIFY: Final = "verify"
INGEST: Final = "ingest"

SCOPES: Final = {
    READINGS: "Read certified readings of the client's sources.",
    QUERY: "Ask for readings by plain meter numbers, sent in the body.",
    CERTIFICATES: "Get certificates of entries of the client's sources.",
    BATCHES: "See batches that hold entries of the client's sources.",
    ANCHORS: "See whole anchors, as every party of the ledger does: names and counts of all sources are in them.",
    SOURCES: "See the registrations of the client's sources.",
    REJECTIONS: "See what of the client's sources was refused and why.",
    STREAM: "Receive certificates of the client's sources as they are made.",
    VERIFY: "Have a certificate checked against the ledger.",
    INGEST: "Send documents as the client's one source.",
}
"""Every scope and what it allows."""
