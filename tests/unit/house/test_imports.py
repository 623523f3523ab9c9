"""The arrows of the design hold: who may import whom."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from make.imports import applicable, configuration
from tests.unit.house.tree import ROOT, name, python_files

CLOCKS: Final = frozenset({"now", "utcnow", "today", "fromtimestamp"})
"""Calls of datetime and date that ask the clock or the machine's time zone."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_contract_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "make" / "imports.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_over_existing_rooms_are_not_left_out() -> None:
    contracts = tomllib.loads(configuration())["tool"]["importlinter"]["contracts"]
    assert {"chaincode", "layers", "core-pure"} <= {contract["id"] for contract in contracts}


def test_a_contract_over_rooms_that_are_not_there_is_left_out() -> None:
    contract = {"type": "forbidden", "source_modules": ["bal.nowhere"], "forbidden_modules": ["os"]}
    assert applicable([contract]) == []


def test_an_import_against_the_arrows_is_found(tmp_path: Path) -> None:
    """The contracts as they stand, over a small tree in which core reaches for a clock and a stage for another."""
    for room, code in {
        "chaincode": "",
        "bal": "",
        "bal/core": "import time\n",
        "bal/store": "",
        "bal/anchor": "from bal import store\n",
    }.items():
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text(code)
    (tmp_path / "make").mkdir()
    for file in ("make/imports.py", "pyproject.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    done = subprocess.run(
        [sys.executable, "make/imports.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "bal.core -> time" in done.stdout
    assert "bal.anchor -> bal.store" in done.stdout


def test_chaincode_is_standard_library_only() -> None:
    allowed = sys.stdlib_module_names | {"chaincode"}
    foreign = [
        f"{name(path)}: {module}"
        for path in python_files("chaincode")
        for module in imported(path)
        if module.split(".", maxsplit=1)[0] not in allowed
    ]
    assert foreign == []


@pytest.mark.parametrize("folder", ["bal/core", "chaincode"])
def test_what_must_be_deterministic_never_asks_a_clock(folder: str) -> None:
    asked = []
    for path in python_files():
        if not name(path).startswith(f"{folder}/"):
            continue
        asked += [
            f"{name(path)}:{node.lineno} {node.attr}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
            and node.attr in CLOCKS
            and isinstance(node.value, ast.Name)
            and node.value.id in {"datetime", "date", "dt"}
        ]
    assert asked == []
