"""docker-compose.yml and the Dockerfiles as the tests read them."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[3]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def dockerfile(name: str) -> list[str]:
    """Return the instructions of a Dockerfile's last stage, one a line."""
    text = (ROOT / "deploy" / f"{name}.Dockerfile").read_text().replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    return lines[last:]


def copied(name: str) -> dict[str, str]:
    """Return what the last stage copies from the repository: source -> place."""
    return dict(
        line.split()[1:3]
        for line in dockerfile(name)
        if line.startswith("COPY ") and not line.startswith("COPY --from")
    )


class Handed(NamedTuple):
    """What the last stage copies from another."""

    stage: str
    source: str
    owner: str
    """As `--chown` says; who builds the image, root, without it. Modes are kept."""


def handed(name: str) -> dict[str, Handed]:
    """Return what the last stage copies from others, by its place."""
    found = {}
    for line in dockerfile(name):
        match = re.fullmatch(r"COPY --from=(\S+)(?: --chown=(\S+))? (\S+) (\S+)", line)
        if match:
            stage, owner, source, place = match.groups(default="0:0")
            found[place] = Handed(stage, source, owner)
        else:
            assert not line.startswith("COPY --"), line
    return found


def image(name: str, root: Path) -> dict[str, str]:
    """Copy into `root` exactly what the image gets; return an environment in which nothing else of ours is found."""
    for source, place in copied(name).items():
        target = root / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)
    libraries = sysconfig.get_paths()["purelib"]
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
    return {**kept, "HOME": str(root), "PYTHONPATH": f"{root / 'app'}{os.pathsep}{libraries}"}


def python(*arguments: str) -> list[str]:
    """Return a command of our interpreter without its site: the checkout that is installed there is not found."""
    return [sys.executable, "-S", *arguments]


def spawn(arguments: list[str], environment: dict[str, str], directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        arguments,
        env=environment,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stack_paths(text: str) -> set[str]:
    """Return the places below /stack that a text names."""
    return set(re.findall(r"(?<![\w.])/stack/([\w./-]*\w)", text))
