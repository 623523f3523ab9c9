"""Pseudonyms: the same for the key holder, meaningless without the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from hypothesis import given
from hypothesis import strategies as st

from bal.core.pseudonym import PSEUDONYM_CHARACTERS, PseudonymKey

KEY = PseudonymKey(1, b"k" * 32)


def test_it_is_the_first_128_bits_of_hmac_sha_256_in_lower_case_base32() -> None:
    digest = hmac.new(b"k" * 32, b"dso-a\0meter\0IT001", hashlib.sha256).digest()
    shown = KEY.pseudonym("dso-a", "meter", "IT001")
    assert shown == base64.b32encode(digest[:16]).decode()[:26].lower()
    assert shown == "".join(re.findall("[a-z2-7]", shown))


@given(identifier=st.text(max_size=50), source=st.sampled_from(["dso-a", "dso-b"]))
def test_it_has_26_characters_and_follows_from_key_source_kind_and_identifier(
    identifier: str, source: str
) -> None:
    one = KEY.pseudonym(source, "usage-point", identifier)
    assert re.fullmatch(f"[a-z2-7]{{{PSEUDONYM_CHARACTERS}}}", one)
    assert KEY.pseudonym(source, "usage-point", identifier) == one
    others = {
        KEY.pseudonym(source, "meter", identifier),
        KEY.pseudonym(source + "x", "usage-point", identifier),
        KEY.pseudonym(source, "usage-point", identifier + "0"),
        PseudonymKey(2, b"l" * 32).pseudonym(source, "usage-point", identifier),
    }
    assert one not in others
    assert len(others) == 4


def test_a_key_does_not_show_itself_and_its_look_ups_are_no_pseudonyms() -> None:
    assert "kkkk" not in repr(KEY)
    assert "107" not in repr(KEY)
    look_up = KEY.digest(b"dso-a\0meter\0IT001")
    assert len(look_up) == 32
    assert look_up != hmac.digest(b"k" * 32, b"dso-a\0meter\0IT001", hashlib.sha256)
    assert look_up != PseudonymKey(1, b"l" * 32).digest(b"dso-a\0meter\0IT001")
