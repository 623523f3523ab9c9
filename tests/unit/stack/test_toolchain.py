"""Tools are asked for their version; what is missing is named with its remedy."""

from pathlib import Path

import pytest

from bal.core.errors import Misconfigured
from bal.stack import toolchain


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _no_java_remembered() -> None:
    toolchain._versions.cache_clear()


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "17" 2021', 17),
        ("command not found", None),
    ],
)
def test_a_jdk_says_its_version(said: str, major: int | None) -> None:
    assert toolchain.java_major(said) == major


@pytest.mark.parametrize(
    ("said", "version"), [("go1.26.8\n", (1, 26, 8)), ("go1.24", (1, 24)), ("go1.25rc1", (1, 25)), ("", ())]
)
def test_go_says_its_version(said: str, version: tuple[int, ...]) -> None:
    assert toolchain.go_version(said) == version


def test_the_wanted_go_stands_in_go_mod() -> None:
    assert toolchain.wanted_go("module x\n\ngo 1.24.3\n\ntoolchain go1.26.0\n") == (1, 24, 3)
    with pytest.raises(Misconfigured):
        toolchain.wanted_go("module x\n")


@pytest.mark.parametrize(
    ("machine", "archive"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_go_is_asked_itself_and_fetches_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, archive: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    module = tmp_path / "go.mod"
    module.write_text("module x\n\ngo 1.24.0\n")
    script(tmp_path / "bin" / "go", '[ "$GOTOOLCHAIN" = local ] && echo go1.19.8')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    missing = toolchain.go(module)
    assert missing is not None
    assert (missing.what, missing.found) == ("Go 1.24.0 or newer", "go1.19.8")
    assert f"curl -fsSL https://go.dev/dl/go1.24.0.linux-{archive}.tar.gz | tar -xz" in missing.remedy
    script(tmp_path / "bin" / "go", '[ "$GOTOOLCHAIN" = local ] && echo go1.24.0')
    assert toolchain.go(module) is None
    (tmp_path / "bin" / "go").unlink()
    missing = toolchain.go(module)
    assert missing is not None
    assert missing.found == ""


def test_each_jdk_is_asked_whatever_its_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "_JVMS", tmp_path / "jvm")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    script(tmp_path / "jvm" / "java-17" / "bin" / "java", "echo 'openjdk version \"25\"' >&2")
    missing = toolchain.jdk(17)
    assert missing is not None
    assert (missing.what, missing.found) == ("JDK 17", "Java 25")
    assert "openjdk-17" in missing.remedy
    with pytest.raises(Misconfigured, match="none on this machine"):
        toolchain.java(17)
    toolchain._versions.cache_clear()
    there = script(tmp_path / "jvm" / "other" / "bin" / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    script(tmp_path / "jvm" / "broken" / "bin" / "java", "exit 1")
    assert toolchain.jdk(17) is None
    assert toolchain.java(17) == there


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_JVMS", tmp_path / "jvm")
    script(tmp_path / "jvm" / "a" / "bin" / "java", "echo 'openjdk version \"17\"'")
    mine = script(tmp_path / "mine" / "bin" / "java", "echo 'openjdk version \"17\"'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "mine"))
    assert toolchain.java(17) == mine


def test_a_command_that_is_not_there_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = toolchain.maven()
    assert missing is not None
    assert (missing.what, missing.found, missing.remedy) == ("mvn", "", "sudo apt-get install maven")
    script(tmp_path / "mvn", "exit 0")
    assert toolchain.maven() is None
