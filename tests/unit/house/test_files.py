"""House rules that hold for every tracked file."""

import ast
import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.house.tree import ROOT, name, python_files, tracked

MAX_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60
MAX_BYTES: Final = 1024 * 1024
# Put together here, so that this file does not find itself.
MACHINE_PATHS: Final = tuple(f"/{folder}/" for folder in ("work", "root", "tmp"))
REGISTRIES: Final = ("py" + "pi.org", "python" + "hosted.org", "regi" + "stry.npmjs", "proxy." + "golang.org")
PRIVATE_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}")
VAGUE: Final = re.compile(r"(Manager|Helper|Helpers|Util|Utils)$")


def text_of(path: Path) -> str | None:
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


def test_the_tree_is_found() -> None:
    names = {name(path) for path in tracked()}
    assert {"pyproject.toml", "Makefile", "tests/conftest.py", "chaincode/merkle.py"} <= names


def test_no_python_file_is_longer_than_400_lines() -> None:
    long = {name(path): len(path.read_text().splitlines()) for path in python_files()}
    assert {file: lines for file, lines in long.items() if lines > MAX_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {}
    for path in python_files("bal", "chaincode", "make"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{name(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_no_class_or_module_has_a_name_that_says_nothing() -> None:
    vague = [name(path) for path in python_files() if VAGUE.search(path.stem.title())]
    for path in python_files("bal", "chaincode", "make"):
        vague += [
            f"{name(path)}:{node.lineno} {node.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
        ]
    assert vague == []


def test_no_file_holds_a_private_key() -> None:
    assert [name(path) for path in tracked() if PRIVATE_KEY.search(path.read_bytes())] == []


@pytest.mark.parametrize("words", [MACHINE_PATHS, REGISTRIES], ids=["machine paths", "registries"])
def test_no_file_names_a_place_of_one_machine(words: tuple[str, ...]) -> None:
    found = []
    for path in tracked():
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            found += [f"{name(path)}:{number} {word}" for word in words if word in line]
    assert found == []


def test_no_file_is_large() -> None:
    assert [name(path) for path in tracked() if path.stat().st_size > MAX_BYTES] == []


def test_text_ends_with_one_newline_and_has_unix_lines() -> None:
    wrong = []
    for path in tracked():
        text = text_of(path)
        if text and (not text.endswith("\n") or text.endswith("\n\n") or "\r\n" in text):
            wrong.append(name(path))
    assert [file for file in wrong if not file.startswith("tests/data/")] == []


def test_scripts_can_be_run() -> None:
    scripts = [
        path
        for path in tracked()
        if path.suffix != ".py" and path.read_bytes()[:2] == b"#!" and path.parent != ROOT / "tests"
    ]
    assert [name(path) for path in scripts if not os.access(path, os.X_OK)] == []
    assert {".ci/run", "make/python", "make/lock"} <= {name(path) for path in scripts}
