"""Settings written as TOML are read back as they were."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.stack.toml import merged, written

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
PLAIN = st.booleans() | st.integers(-(2**53), 2**53) | TEXT
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_whatever_is_written_is_read_back(settings: dict[str, Any]) -> None:
    assert tomllib.loads(written(settings)) == settings


def test_it_is_written_as_people_write_it() -> None:
    settings = {
        "cassandra": {"hosts": ("127.0.0.1",), "key": Path("a b.pem"), "role": None},
        "store": "cassandra",
        "fabric": {"gateways": [{"address": "localhost:1", "msp": "DsoMSP"}]},
        "lane": {"rate": 0.5},
    }
    assert written(settings) == (
        'store = "cassandra"\n\n[cassandra]\nhosts = ["127.0.0.1"]\nkey = "a b.pem"\n\n'
        '[fabric]\ngateways = [{ address = "localhost:1", msp = "DsoMSP" }]\n\n[lane]\nrate = 0.5\n'
    )
    with pytest.raises(TypeError):
        written({"a": object()})


def test_tables_are_merged_and_values_replaced() -> None:
    old = {"lanes": ["a"], "kafka": {"topics": "x", "servers": ["old"]}, "mqtt": 1}
    new = {"kafka": {"servers": ["new"]}, "mqtt": {"host": "h"}}
    assert merged(old, new) == {
        "lanes": ["a"],
        "kafka": {"topics": "x", "servers": ["new"]},
        "mqtt": {"host": "h"},
    }
    assert old["kafka"] == {"topics": "x", "servers": ["old"]}
