"""Numbers that stand in prose are those of the code."""

from pathlib import Path

import pytest

from bal.bootstrap.identities import authority
from bal.core import limits
from bal.gateway import authorization, sse
from bal.home import Home
from bal.ingest import broker
from bal.keys import Keys
from bal.normalise import target
from bal.pki.authority import Authority
from bal.publish import jsonl
from chaincode.anchor import MAX_SIZE, MAX_SOURCES
from tests.unit.docs.pages import page, prose

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docs/settings.md", f"{limits.MQTT_MESSAGE_BYTES // MEBIBYTE} MiB an MQTT message"),
        ("docs/settings.md", f"{limits.HTTP_BODY_BYTES // MEBIBYTE} MiB a HTTP body after unpacking"),
        ("docs/settings.md", f"{MAX_SIZE:,} leaves a batch"),
        ("docs/settings.md", f"{MAX_SOURCES} sources a batch"),
        ("docs/settings.md", f"{limits.VALUE_DIGITS} digits a value, {limits.VALUE_FRACTION_DIGITS} of them"),
        ("docs/settings.md", f"{limits.QUALITY_CODES} quality codes a reading"),
        ("docs/settings.md", f"{limits.IDENTIFIER_CHARACTERS} characters of an identifier"),
        ("docs/settings.md", f"{limits.REJECTIONS_LISTED:,} rejections listed"),
        ("docs/cim.md", f"{limits.XML_DEPTH} levels, {target.ATTRIBUTES} attributes an element"),
        ("docs/cim.md", f"{limits.XML_TEXT_CHARACTERS:,} characters of a text"),
        ("docs/cim.md", f"{target.DEFINITIONS:,} defined reading types"),
        ("docs/cim.md", f"A document up to {limits.INLINE_MESSAGE_BYTES // MEBIBYTE} MiB is read whole"),
        ("docs/formats.md", f"1 to {MAX_SIZE:,} of them"),
        ("docs/formats.md", f"At most {limits.REJECTIONS_LISTED:,} rejections"),
        ("docs/formats.md", f"past {jsonl.FILE_BYTES // MEBIBYTE} MiB a day goes on"),
        ("docs/formats.md", f"A silence of {sse.PING_SECONDS:.0f} seconds"),
        ("docs/promises.md", f"Receipts are remembered {limits.RECEIPT_DAYS} days"),
        ("docs/promises.md", f"{limits.DUPLICATE_WINDOW:,} measuring points and times"),
        ("docs/architecture.md", f"sealed at {limits.BATCH_LEAVES:,} leaves, after 250 ms"),
        ("docs/guide.md", f"the first {limits.QUARANTINED_MESSAGE_BYTES // MEBIBYTE} MiB"),
        ("docs/guide.md", f"Messages have at most {limits.MQTT_MESSAGE_BYTES // MEBIBYTE} MiB"),
    ],
)
def test_a_number_is_that_of_the_code(name: str, words: str) -> None:
    assert words in prose(page(name))


def test_wrong_secrets_and_revocations_are_as_the_guide_says() -> None:
    assert (authorization.FAILURES, authorization.FAILURE_SECONDS) == (10, 60)
    assert "Ten wrong secrets in a minute" in prose(page("docs/guide.md"))
    assert broker.SWEEP_SECONDS < 1
    assert "open connections too, within a second" in prose(page("docs/guide.md"))


def test_the_guide_lists_every_file_of_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    Keys.open(home.keys)
    made: Authority = authority(home)
    places = {
        value.relative_to(tmp_path).parts[0]
        for name in vars(Home)
        if isinstance(getattr(Home, name), property) and isinstance(value := getattr(home, name), Path)
    }
    text = page("docs/guide.md")
    assert {"scd.sqlite", "ledger", "keys", "pki", "out", "run.json"} <= places
    assert {name for name in places if f"`{name}" not in text} == set()
    secret = {path.name for path in home.keys.iterdir() if path.suffix != ".pub"}
    assert {name for name in secret if f"`{name}`" not in text and f"/{name}`" not in text} == set()
    assert made.crl_path.parent.name == "pki"
