"""make finds a Python that runs, and installs once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from make import install
from tests.unit.house.tree import ROOT


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def find_python(path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", ROOT / "make" / "python"],
        env={"PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_python_that_exists_but_does_not_run_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "python3.14", "echo 'command not found' >&2; exit 127")
    script(tmp_path / "python3.13", "exit 0")
    script(tmp_path / "python3.12", f'exec {sys.executable} "$@"')
    found = find_python(str(tmp_path))
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).samefile(getattr(sys, "_base_executable", sys.executable))


def test_where_no_python_serves_it_is_said_what_to_install(tmp_path: Path) -> None:
    for version in ("3.14", "3.13", "3.12", "3.11", "3"):
        script(tmp_path / f"python{version}", "exit 1")
    script(tmp_path / "python", "exit 1")
    (tmp_path / "cat").symlink_to("/bin/cat")
    found = find_python(str(tmp_path))
    assert found.returncode == 1
    assert found.stdout == ""
    assert "python3-venv" in found.stderr


def test_a_named_python_is_the_only_one_tried(tmp_path: Path) -> None:
    found = find_python(os.environ["PATH"], PYTHON=str(tmp_path / "missing"))
    assert found.returncode == 1
    assert str(tmp_path / "missing") in found.stderr


class Tree:
    """A project tree with a stand-in for pip that writes down what it was asked for."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.asked: list[str] = []
        for folder in (".venv", "requirements"):
            (root / folder).mkdir()
        for kind in install.CONTAINS:
            self.pin(kind, "1")
        (root / "pyproject.toml").write_text("")
        monkeypatch.setattr(install, "ROOT", root)
        monkeypatch.setattr(install, "VENV", root / ".venv")
        monkeypatch.setattr(install, "pip", lambda arguments, _total: self.asked.append(str(arguments[-1])))

    def pin(self, kind: str, version: str) -> None:
        (self.root / "requirements" / f"{kind}.txt").write_text(f"lxml=={version} \\\n    --hash=sha256:00\n")

    def make(self, kind: str) -> list[str]:
        self.asked.clear()
        install.install(kind)
        install.install_project()
        return [Path(name).name for name in self.asked]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def test_a_second_run_installs_nothing(tree: Tree) -> None:
    assert tree.make("demo") == ["demo.txt", ""]
    assert tree.make("demo") == []


def test_what_the_tests_need_serves_the_demo_too(tree: Tree) -> None:
    tree.make("demo")
    assert "dev.txt" in tree.make("dev")
    assert tree.make("demo") == []
    assert tree.make("dev") == []


def test_a_changed_lock_is_installed_again(tree: Tree) -> None:
    tree.make("dev")
    tree.pin("dev", "2")
    assert "dev.txt" in tree.make("dev")


def test_going_back_to_old_pins_is_noticed(tree: Tree) -> None:
    tree.make("dev")
    for kind in ("demo", "dev"):
        tree.pin(kind, "2")
    tree.make("demo")
    tree.pin("dev", "1")
    assert "dev.txt" in tree.make("dev")


def test_the_lock_tools_leave_the_rest_as_it_is(tree: Tree) -> None:
    tree.make("dev")
    tree.asked.clear()
    install.install("lock")
    assert [Path(name).name for name in tree.asked] == ["lock.txt"]
    assert tree.make("dev") == []


def test_names_are_read_from_a_lock_file() -> None:
    names = install.pinned(ROOT / "requirements" / "core.txt")
    assert {"lxml", "pydantic-core", "setuptools"} <= set(names)
    assert len(names) == len(set(names))


def test_a_venv_that_does_not_run_or_was_moved_does_not_serve(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tree.root / ".venv" / "bin" / "python"
    monkeypatch.setattr(install, "PYTHON", python)
    assert not install.works()
    python.parent.mkdir()
    script(python, f'exec {sys.executable} "$@"')
    assert install.works()
    (tree.root / ".venv" / ".made-at").write_text(str(tree.root))
    assert install.works()
    (tree.root / ".venv" / ".made-at").write_text(str(tree.root / "before"))
    assert not install.works()
    (tree.root / ".venv" / ".made-at").unlink()
    script(python, "exit 1")
    assert not install.works()
