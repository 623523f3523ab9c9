"""Heads are written and read as one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.errors import Invalid
from bal.verify.heads import Head, heads_text, read_heads

HEADS = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,47}", fullmatch=True),
    st.builds(Head, st.integers(0, 2**53 - 1), st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
    max_size=4,
)


@given(HEADS)
def test_heads_come_back(heads: dict[str, Head]) -> None:
    assert read_heads(heads_text(heads)) == heads
    assert read_heads(heads_text(heads).encode()) == heads


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"bal-1": 4}',
        '{"Bal": {"seq": 4, "hash": "HASH"}}',
        '{"bal-1": {"seq": 4}}',
        '{"bal-1": {"seq": -1, "hash": "HASH"}}',
        '{"bal-1": {"seq": 4.0, "hash": "HASH"}}',
        '{"bal-1": {"seq": "4", "hash": "HASH"}}',
        '{"bal-1": {"seq": 4, "hash": "AB"}}',
        '{"bal-1": {"seq": 4, "hash": 5}}',
        '{"bal-1": {"seq": 4, "hash": "HASH", "more": 1}}',
        '{"bal-1": {"seq": 4, "hash": "HASH"}, "bal-1": {"seq": 4, "hash": "HASH"}}',
    ],
)
def test_other_texts_are_no_heads(text: str) -> None:
    with pytest.raises(Invalid):
        read_heads(text.replace("HASH", "ab" * 32))
