"""Messages, receipts and sources: what they tell, and what they keep to themselves."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydantic import ValidationError

from bal.core.address import AddressRange
from bal.core.errors import Malformed
from bal.core.message import Message, Receipt, Rejection
from bal.core.names import check_name, is_name
from bal.core.source import Lane, Source

SECRET = "IT001E12345678"
RECEIPT = Receipt(
    "dso-a",
    bytes(32),
    accepted=3,
    rejected=1,
    duplicates=2,
    outcomes=6,
    ranges=(AddressRange("bal-1", 4, 10, 12),),
    rejections=(("bad", "Readings[3]"),),
    received_at=7,
    complete=True,
)


def test_a_message_shows_neither_bytes_nor_device() -> None:
    message = Message("dso-a", "pmu", SECRET.encode(), b"d" * 32, device=SECRET)
    assert SECRET not in repr(message)
    assert message.size == len(SECRET)
    assert Message("dso-a", "cim", lambda: BytesIO(b""), b"d").size is None


def test_a_rejection_shows_no_fragment() -> None:
    rejection = Rejection("bad value", "Readings[3]/value", SECRET.encode(), "value")
    assert SECRET not in repr(rejection)
    assert "Readings[3]/value" in repr(rejection)


def test_a_receipt_tells_counts_places_and_reasons() -> None:
    assert RECEIPT.to_json() == {
        "source": "dso-a",
        "digest": "00" * 32,
        "accepted": 3,
        "rejected": 1,
        "duplicates": 2,
        "ranges": ["bal-1:4:10-12"],
        "rejections": [{"reason": "bad", "where": "Readings[3]"}],
    }
    assert [str(each) for each in RECEIPT.ranges[0].addresses()] == ["bal-1:4:10", "bal-1:4:11", "bal-1:4:12"]


def test_a_known_message_is_all_duplicates() -> None:
    told = Receipt(**{**{n: getattr(RECEIPT, n) for n in Receipt.__slots__}, "known": True}).to_json()
    assert (told["accepted"], told["duplicates"], told["ranges"]) == (0, 5, ["bal-1:4:10-12"])


@pytest.mark.parametrize("name", ["a", "0", "dso-a", "a" * 48, "a-", "0--0"])
def test_names_that_are_allowed(name: str) -> None:
    assert is_name(name)
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "A", "a_b", "a.b", "a/b", "a b", "a" * 49, "dso-ä", "a\n", "a\0", "+", "#", "..", "\uff41"],
)
def test_names_that_are_not(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(Malformed) as refused:
        check_name(name, "source")
    assert "source" in str(refused.value)
    for members in ({"name": name, "lane": "bal-1"}, {"name": "dso-a", "lane": name}):
        with pytest.raises((Malformed, ValidationError)):
            Source.model_validate(members)


def test_a_registration_is_read_back_as_it_was_and_takes_nothing_unknown() -> None:
    source = Source(name="dso-a", lane="bal-1", identities=("meter-1",), outputs=("mqtt",), recorded_at=5)
    assert Source.model_validate_json(source.model_dump_json()) == source
    with pytest.raises(ValidationError):
        Source.model_validate({"name": "dso-a", "lane": "bal-1", "nonsense": 1})
    with pytest.raises(ValidationError):
        source.name = "dso-b"  # type: ignore[misc]
    assert Lane("a", "a-2") == Lane("a", "a-2", 0)
