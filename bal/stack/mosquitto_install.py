"""Mosquitto's programs: those of the system, else packages of the distribution unpacked into the cache."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from bal.core.errors import Unavailable
from bal.stack.download import run, whole
from bal.stack.layout import Layout
from bal.stack.server import Missing, Tell

PACKAGES: Final = ("mosquitto", "mosquitto-clients")
OLDEST: Final = (2, 0)
_SYSTEM: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin")
"""Where a broker is that is not in the PATH of a user."""
_ELSEWHERE: Final = {
    "dnf": "sudo dnf install mosquitto",
    "zypper": "sudo zypper install mosquitto mosquitto-clients",
    "pacman": "sudo pacman -S mosquitto",
    "apk": "sudo apk add mosquitto mosquitto-clients",
}
"""What brings broker and clients where there is no apt-get."""
_ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program and what its environment needs."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> tuple[int, ...]:
        """The version a broker says it has; empty when it says none."""
        return _version(self.path, tuple(self.environment.items()))


def program(layout: Layout, name: str) -> Program | None:
    """Return `mosquitto`, `mosquitto_pub` or another: the system's, else that of the cache; None when there is neither.

    A broker older than 2.0 counts as none.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM))
    if found is not None and (name != "mosquitto" or Program(Path(found)).version >= OLDEST):
        return Program(Path(found))
    root = _root(layout)
    for folder in ("usr/sbin", "usr/bin"):
        path = root / folder / name
        if path.exists():
            libraries = sorted({str(library.parent) for library in root.rglob("lib*.so*")})
            inherited = os.environ.get("LD_LIBRARY_PATH", "")
            joined = os.pathsep.join(filter(None, [*libraries, inherited]))
            return Program(path, {"LD_LIBRARY_PATH": joined})
    return None


def missing(layout: Layout) -> Sequence[Missing]:
    """Return what lacks to have a broker and its clients: those of the system, or Debian's tools to unpack them."""
    broker = program(layout, "mosquitto")
    if broker is not None and program(layout, "mosquitto_pub") is not None:
        return []
    if all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        return [] if _offered() else [Missing("list of Debian's packages", "", "sudo apt-get update")]
    remedy = next((line for name, line in _ELSEWHERE.items() if shutil.which(name)), _ELSEWHERE["dnf"])
    if broker is not None:
        return [Missing("mosquitto_pub, Mosquitto's client", "", remedy)]
    old = shutil.which("mosquitto")
    said = ".".join(map(str, Program(Path(old)).version)) if old else ""
    return [Missing("Mosquitto 2.0 or newer and its clients", said, remedy)]


def _offered() -> bool:
    """Tell whether apt knows the packages; on a machine where no list was ever fetched it knows none."""
    said = _said(["apt-cache", "show", "--quiet", *PACKAGES])
    return all(f"Package: {name}\n" in said for name in PACKAGES)


def install(layout: Layout, tell: Tell) -> None:
    """Unpack Mosquitto, its clients and the libraries that this machine lacks; no root, nothing set up."""
    with whole(_root(layout)) as beside:
        names = _lacking(beside)
        tell(f"Mosquitto: {', '.join(names)}")
        packages = beside / "packages"
        packages.mkdir()
        run(["apt-get", "download", *names], directory=packages, what="mosquitto")
        for package in sorted(packages.glob("*.deb")):
            run(["dpkg-deb", "-x", str(package), str(beside)], directory=beside, what="mosquitto")
        shutil.rmtree(packages)
        shutil.rmtree(beside / "etc", ignore_errors=True)  # services and accounts are not set up
    found = program(layout, "mosquitto")
    if found is None or found.version < OLDEST:
        message = "the broker that was unpacked does not run here"
        raise Unavailable(
            message, subject="mosquitto", remedy="install mosquitto from your distribution or its project"
        )
    tell(f"Mosquitto: {'.'.join(map(str, found.version))} unpacked")


def _lacking(directory: Path) -> list[str]:
    """Return the packages that installing Mosquitto would bring, by a rehearsal that changes nothing."""
    said: list[str] = []
    argv = ["apt-get", "install", "--simulate", "--quiet", "--no-install-recommends", *PACKAGES]
    run(argv, directory=directory, tell=said.append, environment={"LC_ALL": "C"}, what="mosquitto")
    names = [found[1] for line in said if (found := re.match(r"Inst (\S+) ", line))]
    # One of the two may be there already, of a version that is too old or without the other.
    return sorted({*names, *PACKAGES})


def _root(layout: Layout) -> Path:
    return layout.cache / "mosquitto"


@cache
def _version(path: Path, environment: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    return version_said(_said([str(path), "-h"], dict(environment)))


def _said(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Return what a program printed, whatever its exit code; empty when it is not there or does not answer."""
    try:
        return subprocess.run(  # noqa: S603 - a question to apt, or to the broker
            argv,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def version_said(said: str) -> tuple[int, ...]:
    """Return the version in what `mosquitto -h` printed; empty when it is not there."""
    found = re.search(r"^mosquitto version (\d+(?:\.\d+)*)", said, re.MULTILINE)
    return tuple(map(int, found[1].split("."))) if found else ()
