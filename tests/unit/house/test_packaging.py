"""What `bal.resources` looks for is put where it looks, whole."""

import tomllib
from pathlib import PurePosixPath

import pytest

from bal.resources import resource
from tests.unit.house.tree import ROOT, name, tracked

FOLDERS = ("fabric-network", "kafka", "mosquitto", "scd")
DATA = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_installed_at_its_place(folder: str) -> None:
    files = {name(path) for path in tracked() if name(path).startswith(f"{folder}/")}
    assert files
    installed = {
        name(path)
        for place, patterns in DATA.items()
        for pattern in patterns
        for path in ROOT.glob(pattern)
        if path.is_file() and PurePosixPath(place, path.name) == PurePosixPath("share/bal", name(path))
    }
    assert files - installed == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_beside_the_source_they_are_found(folder: str) -> None:
    assert resource(folder) == ROOT / folder
