"""The worked example, recomputed with the standard library alone, and held against the code."""

import json
from hashlib import sha256
from typing import Any

from bal.core.address import Address, AddressRange
from bal.core.certified import certificate_text
from bal.core.commitment import Commitment
from bal.core.entry import canonical, from_json, leaf
from bal.core.message import Receipt
from bal.core.reading import Reading
from bal.ingest.receipts import receipt_messages
from tests.unit.docs.pages import code, example, page, rows, section

PAGE = "docs/formats.md"
ANCHOR = ("version", "log", "seq", "root", "size", "previous", "first", "last", "counts", "rules")


def certificate() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(example(PAGE, "certificate"))
    return found


def told(name: str) -> str:
    return dict(line.split() for line in example(PAGE, "hashes").splitlines())[name]


def form(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_the_canonical_form_is_that_of_the_entry() -> None:
    assert example(PAGE, "canonical").rstrip("\n").encode() == form(certificate()["entry"])


def test_leaf_node_root_and_anchor_hash_follow_from_the_certificate() -> None:
    shown = certificate()
    leaf_hash = sha256(b"\x00" + bytes.fromhex(shown["salt"]) + form(shown["entry"])).digest()
    assert leaf_hash.hex() == told("leaf")
    left, right = map(bytes.fromhex, shown["path"])
    node = sha256(b"\x01" + left + leaf_hash).digest()
    assert node.hex() == told("node")
    root = sha256(b"\x01" + node + right).hexdigest()
    assert root == told("root") == shown["anchor"]["root"]
    anchor = {name: shown["anchor"][name] for name in ANCHOR}
    assert sha256(b"\x02" + form(anchor)).hexdigest() == told("anchor")


def test_the_code_makes_the_same_certificate() -> None:
    shown = certificate()
    entry, salt = from_json(shown["entry"]), bytes.fromhex(shown["salt"])
    commitment = Commitment.from_json(shown["anchor"])
    assert canonical(entry) == example(PAGE, "canonical").rstrip("\n").encode()
    assert leaf(entry, salt).hex() == told("leaf")
    assert commitment.anchor.hash == told("anchor")
    text = certificate_text(Address.parse(shown["address"]), entry, salt, shown["path"], commitment)
    assert text == json.dumps(shown, separators=(",", ":"))


def test_every_member_of_a_reading_is_listed() -> None:
    listed = [code(cells[0]) for cells in rows(section(page(PAGE), "## Reading"))]
    assert listed == list(Reading._fields)


def test_receipt_and_rejection_are_as_they_are_sent() -> None:
    accepted = json.loads(example(PAGE, "receipt"))
    refused = json.loads(example(PAGE, "rejected"))
    receipt = Receipt(
        source=accepted["source"],
        digest=bytes.fromhex(accepted["digest"]),
        accepted=accepted["accepted"],
        rejected=accepted["rejected"],
        duplicates=accepted["duplicates"],
        outcomes=96,
        ranges=(AddressRange("bal-1", 42, 0, 94),),
        rejections=tuple((each["reason"], each["where"]) for each in refused["rejections"]),
        received_at=0,
        complete=True,
    )
    assert receipt_messages(receipt) == [
        ("bal/dso-a/rejected", json.dumps(refused, separators=(",", ":")).encode()),
        ("bal/dso-a/accepted", json.dumps(accepted, separators=(",", ":")).encode()),
    ]


def test_the_flat_form_is_as_it_is_sent() -> None:
    from bal.publish.mqtt import _flat

    shown = certificate()
    entry, anchor = from_json(shown["entry"]), shown["anchor"]
    assert isinstance(entry, Reading)
    ledger = f'"tx_id":"{anchor["tx_id"]}","anchored_at":"{anchor["time"]}"'
    assert _flat(shown["address"], entry, ledger) == example(PAGE, "flat").rstrip("\n").encode()
