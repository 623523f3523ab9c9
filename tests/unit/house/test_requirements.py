"""The lock files are complete, hashed, agree with one another and name no registry."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.house.tree import ROOT

SETS: Final = ("core", "demo", "stack", "dev", "lock")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lock_file(kind: str) -> Path:
    return ROOT / "requirements" / f"{kind}.txt"


def logical_lines(kind: str) -> list[str]:
    joined = lock_file(kind).read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins(kind: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in logical_lines(kind):
        pinned = Requirement(line.split(" --hash", maxsplit=1)[0].strip())
        found.setdefault(canonicalize_name(pinned.name), set()).add(str(pinned.specifier))
    return found


@pytest.mark.parametrize("kind", SETS)
def test_every_requirement_is_pinned_with_hashes(kind: str) -> None:
    lines = logical_lines(kind)
    assert lines
    pinned = re.compile(r"[A-Za-z0-9][\w.\-]*==\S+( ; [^#]*?)?(\s+--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pinned.fullmatch(line.strip())] == []


@pytest.mark.parametrize("kind", SETS)
def test_no_address_and_no_option_but_hashes(kind: str) -> None:
    text = lock_file(kind).read_text()
    assert "://" not in text
    assert re.findall(r"(?m)^\s*-\S*|--(?!hash=)\S+", text.replace("    --hash=", "    ")) == []
    assert "@" not in text


def test_each_set_contains_the_smaller_one_with_the_same_pins() -> None:
    core, demo, stack, dev = (pins(kind) for kind in ("core", "demo", "stack", "dev"))
    assert core.items() <= demo.items() <= stack.items() <= dev.items()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("core", PROJECT["dependencies"]),
        ("demo", PROJECT["optional-dependencies"]["demo"]),
        ("dev", PROJECT["optional-dependencies"]["dev"]),
        ("stack", PROJECT["optional-dependencies"]["cassandra"]),
        ("stack", PROJECT["optional-dependencies"]["fabric"]),
        ("stack", PROJECT["optional-dependencies"]["kafka"]),
        ("core", ["setuptools"]),
    ],
)
def test_what_pyproject_asks_for_is_locked(kind: str, wanted: list[str]) -> None:
    locked = pins(kind)
    for requirement in map(Requirement, wanted):
        versions = [pin.removeprefix("==") for pin in locked[canonicalize_name(requirement.name)]]
        assert versions
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_core_holds_neither_the_demo_nor_the_tests() -> None:
    assert not {"pytest", "mypy", "ruff", "uv", "demandlib", "pandas", "numpy"} & pins("core").keys()
