"""What is fetched or built lies in the cache whole or not at all."""

import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bal.core.errors import Unavailable
from bal.stack.server import Tell
from bal.stack.tree import size

COPY_DEPENDENCIES: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_BEGUN: Final = ".begun-"
_SAID_LINES: Final = 12
_PULSE_SECONDS: Final = 20.0
# Maven's local repository is not made for two writers.
_ONE_MAVEN: Final = threading.Lock()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Hand out an empty folder beside `target` that becomes `target` when the block ends without an error.

    What an interrupted one left is removed by the next; the lock of `installing` keeps two from the same target.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in target.parent.glob(f"{_BEGUN}{target.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    beside = target.with_name(f"{_BEGUN}{target.name}.{secrets.token_hex(4)}")
    beside.mkdir()
    try:
        yield beside
        if target.exists():
            shutil.rmtree(target)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def installing(cache: Path, tell: Tell) -> Iterator[None]:
    """Hold the cache as its one writer; wait, and say so, while another installs."""
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (cache / "lock").open("a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another install is under way: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(
    argv: Sequence[str],
    *,
    directory: Path,
    tell: Tell | None = None,
    environment: Mapping[str, str] | None = None,
    what: str,
) -> None:
    """Run a command of an installation, handing its lines to `tell`; raise `Unavailable` with the last it said."""
    said: list[str] = []
    try:
        with subprocess.Popen(  # noqa: S603 - commands of this room
            list(argv),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                said.append(line.rstrip())
                if tell is not None:
                    tell(line.rstrip())
    except OSError as error:
        message = f"{argv[0]} cannot be run ({error.strerror})"
        raise Unavailable(message, subject=what, remedy="see `bal stack doctor`") from error
    if process.returncode:
        end = "\n".join(line for line in said if line)[-2000:].splitlines()[-_SAID_LINES:]
        message = f"{argv[0]} ended with {process.returncode}: " + "\n".join(end)
        raise Unavailable(message, subject=what, remedy="look at what it says, then install again")


@contextmanager
def pulse(name: str, tell: Tell) -> Iterator[None]:
    """Tell from time to time that it goes on, and for how long: Go and Maven are silent for minutes."""
    begun, ended = time.monotonic(), threading.Event()

    def beat() -> None:
        while not ended.wait(_PULSE_SECONDS):
            tell(f"{name} goes on, {time.monotonic() - begun:.0f} s so far")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()


def maven_jars(pom: Path, target: Path, tell: Tell, *, jars: int, sums: Path | None = None) -> None:
    """Make `target` hold the jars of the runtime dependencies of a pom, in one step; nothing to do when it is there.

    `jars` is how many there must be. `sums` is a file as `sha256sum *.jar` writes it: another jar, or other bytes, are
    refused. Raises `Unavailable`.
    """
    if target.is_dir():
        return
    with whole(target) as beside:
        tell(f"{target.name}: {jars} jars by Maven")
        with _ONE_MAVEN, pulse("Maven", tell):
            run(
                [
                    *("mvn", "-B", "-q", "--strict-checksums", "-f", str(pom), COPY_DEPENDENCIES),
                    *(f"-DoutputDirectory={beside}", "-DincludeScope=runtime"),
                ],
                directory=beside,
                what=target.name,
            )
        found = sorted(beside.glob("*.jar"))
        if len(found) != jars:
            message = f"Maven brought {len(found)} jars instead of {jars}"
            raise Unavailable(message, subject=target.name, remedy="try again")
        if sums is not None:
            _compare(target.name, found, sums)
    tell(f"{target.name}: installed, {size(target) // 1_000_000} MB")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(what: str, found: Sequence[Path], sums: Path) -> None:
    """Raise `Unavailable` unless the files are those of a file of sums, byte for byte."""
    lines = (line.split() for line in sums.read_text(encoding="ascii").splitlines() if line)
    wanted = {name.removeprefix("*"): digest for digest, name in lines}
    got = {path.name: sha256(path) for path in found}
    wrong = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
    if wrong:
        message = f"these are not the files that were tested: {', '.join(wrong[:5])}"
        raise Unavailable(
            message, subject=what, remedy="look at what your Maven mirror serves; install again"
        )
