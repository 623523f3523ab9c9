"""A home is known by what was ever stored from it, wherever that is."""

from pathlib import Path

import pytest

from bal.core.errors import NotFound
from bal.home import Home
from bal.keys import Keys


def test_a_home_whose_database_lies_elsewhere_exists_once_it_has_keys(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(NotFound, match="there is no BAL in this folder"):
        home.existing()
    home.create()
    (home.path / "bal.toml").write_text('store = "cassandra"\n')
    with pytest.raises(NotFound):
        home.existing()
    Keys.open(home.keys)
    assert home.existing() is home
