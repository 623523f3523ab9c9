"""What routes answer: JSON of entries, batches, anchors and sources, and its documented form."""

import json
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bal.core.commitment import Commitment
from bal.core.entry import to_json
from bal.core.instant import instant_text
from bal.core.source import Source
from bal.gateway.problems import PROBLEM_TYPE
from bal.ports import BatchRecord, StoredReading


def json_answer(value: Any, status: int = HTTPStatus.OK) -> Response:
    """Return `value` as JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")


def reading_json(found: StoredReading) -> dict[str, Any]:
    """Return a reading as queries show it: its entry and its address."""
    return {**to_json(found.reading), "address": str(found.address)}


def anchor_json(commitment: Commitment) -> dict[str, Any]:
    """Return an anchor as the ledger holds it, and its hash."""
    return {**commitment.to_json(), "hash": commitment.anchor.hash}


def batch_json(record: BatchRecord, sources: frozenset[str]) -> dict[str, Any]:
    """Return a batch, with the counts of `sources` only; what is not theirs is in `others`."""
    anchor = record.anchor
    own = {source: count for source, count in anchor.counts.items() if source in sources}
    state = "published" if record.published else "anchored" if record.commitment else "stored"
    return {
        "log": anchor.log,
        "seq": anchor.seq,
        "state": state,
        "size": anchor.size,
        "root": anchor.root,
        "sealed_at": instant_text(record.sealed_at),
        "counts": own,
        "others": anchor.size - sum(own.values()),
    }


def source_json(source: Source) -> dict[str, Any]:
    """Return of a registration what those may see who read the source; not who sends as it, nor by which topics."""
    return {
        "name": source.name,
        "organisation": source.organisation,
        "lane": source.lane,
        "point_from": source.point_from,
        "time_zone": source.time_zone,
        "rules": source.rules.digest(),
        "outputs": list(source.outputs),
        "suspended": source.suspended,
        "recorded_at": instant_text(source.recorded_at),
    }


class _Documented(BaseModel):
    model_config = ConfigDict(extra="allow")


class Problem(_Documented):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""


class Reading(_Documented):
    """A certified reading: the entry of its certificate, and its address."""

    address: str
    source: str
    point: str = Field(description="Pseudonym of the measuring point.")
    component: str
    quantity: str
    reading_type: str
    phase: str
    value: str = Field(description="Exact decimal.")
    unit: str
    timestamp: str
    interval: str
    quality: list[str]
    received_at: str


class Certificate(_Documented):
    """A certificate (version 1): an entry, the salt of its leaf, the path to its batch's root, and the anchor."""

    version: int
    address: str
    entry: dict[str, Any]
    salt: str
    tree_size: int
    path: list[str]
    anchor: dict[str, Any]


class Readings(BaseModel):
    """A page of readings."""

    readings: list[Reading]
    next: str | None = Field(description="Cursor of the next page; null at the end.")


class Batch(_Documented):
    """A batch, as far as it is the client's."""

    log: str
    seq: int
    state: str = Field(description="`stored`, `anchored` or `published`.")
    size: int
    root: str
    sealed_at: str
    counts: dict[str, int]
    others: int = Field(description="Entries of sources this client does not see.")


class Batches(BaseModel):
    """A page of batches; it may be empty and still have a next one."""

    batches: list[Batch]
    next: str | None


class Anchor(_Documented):
    """An anchor as the ledger holds it."""

    version: int
    log: str
    seq: int
    root: str
    size: int
    previous: str
    first: str
    last: str
    counts: dict[str, int]
    rules: dict[str, str]
    ledger: str
    channel: str
    tx_id: str
    block: int
    time: str
    organisation: str
    hash: str


class Anchors(BaseModel):
    """A page of anchors, in sequence."""

    anchors: list[Anchor]
    next: str | None


class SourceFacts(_Documented):
    """A source's registration."""

    name: str
    organisation: str
    lane: str
    suspended: bool


class Sources(BaseModel):
    """The client's sources."""

    sources: list[SourceFacts]


class Rejection(BaseModel):
    """Something that was refused, and why."""

    id: int
    source: str
    kind: str = Field(description="`message` as a whole, or one `reading` of it.")
    digest: str
    reason: str
    where: str
    code: str
    at: str


class Rejections(BaseModel):
    """A page of rejections, oldest first."""

    rejections: list[Rejection]
    next: int | None = Field(description="What to give as `after` for the next page; null at the end.")


class VerdictFacts(BaseModel):
    """Whether a certificate proves what it says."""

    valid: bool
    reason: str


class RejectedReading(BaseModel):
    """A reading of the document that was not accepted."""

    reason: str
    where: str


class ReceiptFacts(BaseModel):
    """What became of a document. The sender may forget it now."""

    source: str
    digest: str = Field(description="SHA-256 of the document, unpacked, in hex.")
    accepted: int
    rejected: int
    duplicates: int
    ranges: list[str] = Field(description="Addresses, `log:seq:first-last`.")
    rejections: list[RejectedReading]


def problem_answer(status: int) -> dict[str, Any]:
    """Return the OpenAPI response of a problem document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": HTTPStatus(status).phrase, "content": {PROBLEM_TYPE: {"schema": schema}}}


def documented(model: type[BaseModel], *problems: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: `model` for success, problem documents for the rest."""
    answers: dict[int | str, dict[str, Any]] = {status: {"model": model}}
    for code in sorted({401, 403, *problems}):
        answers[code] = problem_answer(code)
    return answers
