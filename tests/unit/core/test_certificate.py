"""Certificates as they are written are read back; each fault has its own reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bal.core.address import Address
from bal.core.certificate import parse, read_commitment
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.errors import Invalid
from bal.core.reading_type import decode, measurand
from tests.unit.store.rows import batch, committed, reading
from tests.unit.verify.proofs import certified, proof


@pytest.mark.parametrize("count", [2, 3, 256, 257, 300])
def test_every_certificate_of_a_batch_is_read_and_holds(count: int) -> None:
    made = certified(count)
    for index, entry, text in made.certificates():
        certificate = parse(text)
        certificate.check(made.commitment)
        assert certificate.address == Address("bal-1", 1, index)
        assert (certificate.entry, certificate.salt) == (entry, made.salts[index])
        assert certificate.leaf == made.leaves[index]
        assert list(certificate.path) == made.tree.path(index)
        assert certificate.anchor.to_json() == made.commitment.to_json()


def test_a_batch_of_one_has_an_empty_path() -> None:
    sealed = batch([reading("1")])
    made = CertifiedBatch(committed(sealed.anchor), sealed.entries, sealed.salts, sealed.leaves)
    certificate = parse(made.certificate(0))
    certificate.check(made.commitment)
    assert certificate.path == ()


FORMS: dict[str, Entry] = {
    "19 numbers": reading(reading_type="0.26.0.0.1.1.12.0.0.0.0.0.0.0.0.224.3.72.0"),
    "long numbers": reading(reading_type=".".join(["9999999"] * 15 + ["-12", "9999999", "9999999"])),
    "PMU": reading(component="BUS1 [left]/A+B@x", reading_type="voltmagnitude", phase="ABC", interval=0),
    "longest component": reading(component="B" * 64),
    "unit with brackets": reading(unit="W/(m.K)", phase="cim-999"),
    "unit of none": reading(unit="1"),
    "unknown unit": reading(unit="cim-9999999", quantity="cim-12"),
    "least value": reading("-0." + "0" * 11 + "1"),
    "longest value": reading("9" * 34),
    "longest interval": reading(interval=999_999_999_999_999_999),
    "longest source": reading(source="a" * 48),
    "many codes": reading(quality=" ".join(sorted(f"{n}.{n}.258" for n in range(40)))),
    "epoch": reading(timestamp=0),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_reading_has_a_certificate(form: str) -> None:
    sealed = batch([reading("1"), FORMS[form]])
    made = CertifiedBatch(committed(sealed.anchor), sealed.entries, sealed.salts, sealed.leaves)
    certificate = parse(made.certificate(1))
    certificate.check(made.commitment)
    assert certificate.entry == FORMS[form]


def test_what_reading_types_decode_to_fits_a_certificate() -> None:
    for code in ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0", "13.8.5.6.7.7.58.1.2.3.4.5.6.7.999.99.999.978"):
        kind = decode(code)
        made = certified_of(
            reading(reading_type=kind.code, quantity=kind.quantity, unit=kind.unit, phase=kind.phase)
        )
        parse(made.certificate(1)).check(made.commitment)
    kind = measurand("rocof", "none")
    made = certified_of(
        reading(reading_type=kind.code, quantity=kind.quantity, unit=kind.unit, phase=kind.phase)
    )
    parse(made.certificate(1)).check(made.commitment)


def certified_of(entry: Entry) -> CertifiedBatch:
    sealed = batch([reading("1"), entry])
    return CertifiedBatch(committed(sealed.anchor), sealed.entries, sealed.salts, sealed.leaves)


def change(document: dict[str, Any], place: str, value: Any) -> str:
    *holders, name = place.split(".")
    holder = document
    for part in holders:
        holder = holder[part]
    holder[name] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("version", 2, "no certificate of version 1"),
        ("more", 1, "exactly the members"),
        ("address", "bal-1:1", "not of the form log:seq:index"),
        ("address", 5, "not of the form log:seq:index"),
        ("address", "bal-1:2:5", "not in the anchor's batch"),
        ("address", "bal-2:1:5", "not in the anchor's batch"),
        ("address", "bal-1:1:11", "index of the address lies outside"),
        ("salt", "AB" * 16, "the salt is 32"),
        ("salt", "ab" * 15, "the salt is 32"),
        ("tree_size", 0, "tree size is an integer"),
        ("tree_size", 65537, "tree size is an integer"),
        ("tree_size", 12, "tree size is not the anchor's"),
        ("path", [], "path has another length"),
        ("path", ["ab"], "path is a list of 64"),
        ("path", {}, "path is a list of 64"),
        ("entry.type", "measurement", "entry is of no known type"),
        ("entry.type", "erasure", "an entry of type erasure has exactly"),
        ("entry", [], "entry is no JSON object"),
        ("entry.more", "", "an entry of type reading has exactly"),
        ("entry.source", "DSO", "source of the entry"),
        ("entry.point", "a" * 27, "point of the entry"),
        ("entry.component", "a\\b", "component of the entry"),
        ("entry.component", 'a"b', "component of the entry"),
        ("entry.component", "a\tb", "component of the entry"),
        ("entry.component", "B" * 65, "component of the entry"),
        ("entry.quantity", "", "quantity of the entry"),
        ("entry.unit", "\u03a9", "unit of the entry"),
        ("entry.timestamp", "2026-01-01T24:00:00.000000Z", "timestamp of the entry"),
        ("entry.timestamp", "2026-01-01T00:00:00Z", "timestamp of the entry"),
        ("entry.received_at", "2026-02-30T00:00:00.000000Z", "received_at of the entry"),
        ("entry.quality", ["b", "a"], "quality of the entry"),
        ("entry.quality", ["a", "a"], "quality of the entry"),
        ("entry.quality", "a", "quality of the entry"),
        ("entry.quality", ["a b"], "quality of the entry"),
        ("entry.value", "5.6", "do not lead to the anchored root"),
        ("salt", "00" * 16, "do not lead to the anchored root"),
        ("path", ["00" * 32] * 4, "do not lead to the anchored root"),
        ("anchor.root", "00" * 32, "not the trusted one: root"),
        ("anchor.previous", "ab" * 32, "not the trusted one: previous"),
        ("anchor.first", "2020-01-01T00:00:00.000000Z", "not the trusted one: first"),
        ("anchor.rules", {"dso-a": "00" * 32}, "not the trusted one: rules"),
        ("anchor.channel", "other", "not the trusted one: channel"),
        ("anchor.ledger", "fabric", "not the trusted one: ledger"),
        ("anchor.tx_id", "ab" * 32, "not the trusted one: tx_id"),
        ("anchor.block", 13, "not the trusted one: block"),
        ("anchor.time", "2026-12-31T00:00:00.000001Z", "not the trusted one: time"),
        ("anchor.organisation", "DsoMSP", "not the trusted one: organisation"),
        ("anchor.counts", {"dso-a": 10}, "do not add up"),
        ("anchor.counts", {"dso-a": 10, "dso-b": 1}, "same sources"),
        ("anchor.time", "now", "time of an anchor"),
        ("anchor.block", True, "block of an anchor"),
        ("anchor.tx_id", "xy", "tx_id of the anchor"),
        ("anchor.tx_id", 1, "no text"),
        ("anchor", 1, "an anchor has exactly"),
    ],
    ids=str,
)
def test_each_fault_has_its_reason(place: str, value: Any, reason: str) -> None:
    text, trusted = proof()
    with pytest.raises(Invalid, match=reason) as caught:
        parse(change(json.loads(text), place, value)).check(trusted)
    assert "5.5" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("who", ""),
        ("why", "a" * 501),
        ("why", "a\nb"),
        ("why", "a\x7fb"),
        ("why", "a\x85b"),
        ("why", "\ud800"),
        ("leaf", "AB" * 32),
        ("address", "bal-1:1:01"),
    ],
)
def test_a_malformed_erasure_is_refused(name: str, value: str) -> None:
    text, _ = proof(7, 6)
    with pytest.raises(Invalid, match=f"{name} of the entry"):
        parse(change(json.loads(text), f"entry.{name}", value))


def test_another_batch_of_the_same_log_is_not_trusted_for_this_one() -> None:
    text, _ = proof()
    with pytest.raises(Invalid, match="not the trusted one"):
        parse(text).check(certified(11).commitment)


def test_the_anchor_of_a_line_is_read_as_in_a_certificate() -> None:
    _, trusted = proof()
    again = read_commitment(json.loads(json.dumps(trusted.to_json())))
    assert isinstance(again, Commitment)
    assert again == trusted
