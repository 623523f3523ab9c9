"""The tools that servers are built with and run on: found, asked for their version, never installed."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from bal.core.errors import Misconfigured
from bal.stack.server import Missing

_JVMS: Final = Path("/usr/lib/jvm")
_ANSWER_SECONDS: Final = 30
_GO_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armv6l", "i686": "386"}
"""What Go calls a machine in the names of its archives where it is not what the kernel calls it."""


def go(module: Path) -> Missing | None:
    """Return what lacks to build the Go module whose go.mod this is: a Go that is new enough by itself.

    Asked with `GOTOOLCHAIN=local`: Go would otherwise fetch another toolchain behind our back.
    """
    wanted = wanted_go(module.read_text(encoding="utf-8"))
    said = _said(["go", "env", "GOVERSION"], {"GOTOOLCHAIN": "local"})
    found = go_version(said)
    if found >= wanted:
        return None
    name = ".".join(map(str, wanted))
    # Distributions are often behind; a release of Go has three numbers (since 1.21) and needs no root.
    archive = ".".join(map(str, (*wanted, 0, 0)[:3]))
    machine = _GO_MACHINES.get(platform.machine(), platform.machine())
    return Missing(
        f"Go {name} or newer",
        said.strip() if found else "",
        'mkdir -p "$HOME/.local" && '
        f'curl -fsSL https://go.dev/dl/go{archive}.linux-{machine}.tar.gz | tar -xz -C "$HOME/.local" && '
        'export PATH="$HOME/.local/go/bin:$PATH"',
    )


def wanted_go(module: str) -> tuple[int, ...]:
    """Return the version that the `go` line of a go.mod asks for."""
    line = re.search(r"^go[ \t]+(\d+(?:\.\d+)*)", module, re.MULTILINE)
    if line is None:
        message = "this file does not say which Go it needs"
        raise Misconfigured(message, subject="go.mod", remedy="add a line `go VERSION`")
    return _numbers(line[1])


def go_version(said: str) -> tuple[int, ...]:
    """Return the version in what `go env GOVERSION` said, such as `go1.26.8`; empty when there is none."""
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", said)
    return _numbers(found[1]) if found else ()


def jdk(major: int) -> Missing | None:
    """Return what lacks when no JDK of this major version is found."""
    if java_home(major) is not None:
        return None
    found = ", ".join(str(version) for version in sorted(_versions().values()))
    return Missing(
        f"JDK {major}",
        f"Java {found}" if found else "",
        f"sudo apt-get install openjdk-{major}-jdk-headless, or set JAVA_HOME to a JDK {major}",
    )


def java(major: int) -> Path:
    """Return the `java` of a JDK of exactly this major version. Raises `Misconfigured`."""
    home = java_home(major)
    if home is None:
        missing = jdk(major)
        assert missing is not None
        message = "there is none on this machine"
        raise Misconfigured(message, subject=missing.what, remedy=missing.remedy)
    return home / "bin" / "java"


def java_home(major: int) -> Path | None:
    """Return the home of a JDK of exactly this major version, JAVA_HOME's before others; None when there is none."""
    return next((home for home, version in _versions().items() if version == major), None)


def java_major(said: str) -> int | None:
    """Return the major version in what `java -version` said; None when it is not that.

    Source: JEP 223 (`17.0.15`); before it `1.8.0_392` is 8.
    """
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


def tool(name: str, package: str) -> Missing | None:
    """Return what lacks when a command is not in PATH; `package` is Debian's that has it."""
    if shutil.which(name):
        return None
    return Missing(name, "", f"sudo apt-get install {package}")


def maven() -> Missing | None:
    """Return what lacks when there is no Maven."""
    return tool("mvn", "maven")


def all_missing(found: Iterable[Missing | None]) -> list[Missing]:
    """Return those that are missing."""
    return [each for each in found if each is not None]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@cache
def _versions() -> dict[Path, int]:
    """Return every JDK's home and major version; each is asked, a folder's name proves nothing."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += sorted(_JVMS.glob("*")) if _JVMS.is_dir() else []
    first = shutil.which("java")
    if first:
        homes.append(Path(first).resolve().parent.parent)
    versions: dict[Path, int] = {}
    asked: set[Path] = set()
    for home in homes:
        program = home / "bin" / "java"
        if not program.exists() or program.resolve() in asked:
            continue
        asked.add(program.resolve())
        version = java_major(_said([str(program), "-version"]))
        if version is not None:
            versions[home] = version
    return versions


def _said(argv: list[str], environment: dict[str, str] | None = None) -> str:
    """Return what a command printed on both outputs; empty when it is not there or failed."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of this module
            argv,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
