"""The command line as its users run it: processes of their own, in homes of their own."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = 180
"""Longest time a command may take on a loaded machine."""
ROOT = Path(__file__).parents[2]


class Answer(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    def value(self) -> Any:
        """Return the one JSON value on standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    def values(self) -> list[Any]:
        """Return the JSON Lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    def problem(self) -> dict[str, Any]:
        """Return the one problem document on standard error."""
        (line,) = self.err.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


def environment(**more: str) -> dict[str, str]:
    """Return this environment without settings of the BAL; no color, a wide terminal."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BAL_")}
    return {**plain, "COLUMNS": "300", "NO_COLOR": "1", **more}


def arguments(*words: str | Path) -> list[str]:
    """Return the command line of a verb."""
    return [sys.executable, "-m", "bal", *map(str, words)]


class _Zygote:
    """The process commands are forked from, started with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, command: dict[str, Any]) -> int:
        """Run a command to its end; return its exit code."""
        if self._process is None:
            words = [sys.executable, "-m", "tests.e2e.zygote"]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, text=True, env=environment(), cwd=ROOT
            )
            atexit.register(self._end)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(command), file=process.stdin, flush=True)
        return int(process.stdout.readline())

    def _end(self) -> None:
        assert self._process is not None
        self._process.communicate()


_ZYGOTE = _Zygote()


def bal(*words: str | Path, stdin: bytes = b"", variables: dict[str, str] | None = None) -> Answer:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in ("stdin", "stdout", "stderr")}
        for path in files.values():
            path.write_bytes(b"")
        files["stdin"].write_bytes(stdin)
        command = {name: str(path) for name, path in files.items()}
        code = _ZYGOTE.run(
            {
                **command,
                "arguments": list(map(str, words)),
                "environment": environment(**(variables or {})),
                "seconds": SECONDS,
            }
        )
        answer = Answer(code, files["stdout"].read_text("utf-8"), files["stderr"].read_text("utf-8"))
    assert "Traceback" not in answer.err, answer.err
    return answer


class Shell:
    """Runs commands in one home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str | Path, stdin: bytes = b"") -> Answer:
        """Run a command in the home."""
        return bal(*words, "--home", self.home, stdin=stdin)

    def done(self, *words: str | Path, stdin: bytes = b"") -> Answer:
        """Run a command that must succeed with nothing to complain of."""
        answer = self(*words, stdin=stdin)
        assert (answer.code, answer.err) == (0, ""), answer
        return answer

    def ingest(self, document: bytes, source: str = "dso-a", *more: str) -> Any:
        """Certify a document of readings that are all good; return what is printed."""
        words = ("ingest", "-", "--source", source, "--json", "--create-source", *more)
        # Where it is not what is tested, without a pool of processes to start.
        answer = bal(*words, "--home", self.home, stdin=document, variables={"BAL_WORKERS": "0"})
        assert (answer.code, answer.err) == (0, ""), answer
        return answer.value()

    def readings(self, *more: str, source: str = "dso-a") -> list[Any]:
        """Return what `bal readings --json` prints."""
        return self.done("readings", "--source", source, "--json", *more).values()

    def clean(self) -> Any:
        """Audit; nothing may be found. Return the report."""
        report = self.done("audit", "--json").value()
        assert report["ok"], report
        return report
