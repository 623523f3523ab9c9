"""The template of the canonical form is RFC 8785; leaves are salted; entries come back as they went."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import Address
from bal.core.entry import (
    Entry,
    Erasure,
    StoredEntry,
    canonical,
    expand_salts,
    from_json,
    leaf,
    leaves,
    to_json,
)
from bal.core.errors import Malformed
from bal.core.instant import parse_instant
from bal.core.limits import EPOCH_MAX
from bal.core.reading import Reading
from tests.unit.store.rows import reading

PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=70)
CODES = st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True), max_size=5).map(
    lambda codes: " ".join(sorted(set(codes)))
)
INSTANTS = st.integers(0, EPOCH_MAX)
READINGS = st.builds(
    Reading,
    source=PLAIN,
    point=PLAIN,
    component=PLAIN,
    quantity=PLAIN,
    reading_type=PLAIN,
    phase=PLAIN,
    value=PLAIN,
    unit=PLAIN,
    timestamp=INSTANTS,
    interval=st.integers(0, 2**53),
    quality=CODES,
    received_at=INSTANTS,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ERASURES = st.builds(
    Erasure, source=PLAIN, address=PLAIN, leaf=PLAIN, who=TEXTS, why=TEXTS, received_at=INSTANTS
)
TEXT_COLUMNS = ("source", "point", "component", "quantity", "reading_type", "phase", "value", "unit")


def with_texts(entry: Reading, texts: dict[str, str]) -> Reading:
    """Return `entry` with other texts in some columns."""
    return Reading(**{**entry._asdict(), **texts})


@given(READINGS | ERASURES)
def test_the_canonical_form_is_rfc_8785(entry: Entry) -> None:
    members: Any = to_json(entry)
    assert canonical(entry) == rfc8785.dumps(members)


@given(READINGS | ERASURES)
def test_an_entry_comes_back_from_its_json(entry: Entry) -> None:
    assert from_json(json.loads(canonical(entry))) == entry


@given(READINGS, st.binary(min_size=16, max_size=16))
def test_a_leaf_is_over_salt_and_canonical_form(entry: Reading, salt: bytes) -> None:
    assert leaf(entry, salt) == hashlib.sha256(b"\x00" + salt + canonical(entry)).digest()
    assert leaves([entry, entry], [salt, bytes(16)]) == [leaf(entry, salt), leaf(entry, bytes(16))]


@given(READINGS, READINGS)
def test_different_readings_have_different_forms(one: Reading, other: Reading) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@given(
    reading=READINGS,
    column=st.sampled_from(TEXT_COLUMNS),
    where=st.integers(0, 9),
    sign=st.sampled_from('"\\\n\x00'),
)
def test_a_text_that_would_need_escapes_gives_no_form_of_any_entry(
    reading: Reading, column: str, where: int, sign: str
) -> None:
    """Normalising and the strict check refuse such texts; put into a row, its leaf is none that was ever anchored."""
    text = getattr(reading, column)
    broken = canonical(with_texts(reading, {column: text[:where] + sign + text[where:]}))
    try:
        members = json.loads(broken)
    except ValueError:
        return  # no JSON at all
    assert members.keys() != to_json(reading).keys() or not all(
        re.fullmatch(r"[ !#-\[\]-~]*", str(members[name])) for name in TEXT_COLUMNS
    )


def test_codes_cannot_be_told_apart_by_a_quotation_mark() -> None:
    assert canonical(reading(quality="1.4.6 2.5.9")).count(b'["1.4.6","2.5.9"]') == 1
    with pytest.raises(Malformed):
        canonical(reading(quality='1.4.6","2.5.9'))


def test_no_column_can_take_over_its_neighbours() -> None:
    """Moving text across columns with the quotation marks between them never gives the form of the honest row."""
    honest = reading(component="BUS1", phase="A", unit="V", quality="1.4.6 2.5.9")
    form = canonical(honest).decode()
    names = sorted(TEXT_COLUMNS)
    for name, following in pairwise(names):
        start = form.index(f'"{name}":"') + len(name) + 4
        swallowed = form[start : form.index(f'"{following}":"') + len(following) + 4]
        for columns in ({name: swallowed, following: ""}, {name: swallowed}):
            assert canonical(with_texts(honest, columns)) != form.encode()


def test_salts_are_drawn_apart_and_again_from_one_seed() -> None:
    salts = expand_salts(b"s" * 32, 1000)
    assert len(set(salts)) == 1000
    assert {len(salt) for salt in salts} == {16}
    assert expand_salts(b"s" * 32, 3) == salts[:3]
    assert expand_salts(b"t" * 32, 1) != salts[:1]
    assert expand_salts(b"s" * 32, 0) == []


def test_equal_readings_have_leaves_nobody_can_link() -> None:
    entry = reading("7")
    one, other = expand_salts(b"s" * 32, 2)
    assert leaf(entry, one) != leaf(entry, other)


def test_the_time_of_an_erasure_is_when_it_was_received() -> None:
    note = Erasure("dso-a", "bal-1:0:0", "ab" * 32, "operator", "asked", 5)
    assert note.timestamp == 5
    assert parse_instant(str(to_json(note)["received_at"])) == 5
    assert StoredEntry(Address("bal-1", 1, 0), note, bytes(16)).entry is note
