"""Run the tests in parts side by side, each in a pytest of its own: they wait for servers most of the time.

The parts are the tests that ask for all real servers, those that ask for one, with servers of their own, and all others.
Options are pytest's and go to each, as PYTEST_ADDOPTS does. What the first part prints is shown as it comes, what the
others print at their end. With STACK=0 there is one pytest, which tells what it leaves out.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTEST: Final = (sys.executable, "-m", "pytest", "--durations=25")
PARTS: Final = {"grid": "grid", "real": "real and not grid", "others": "not real"}
"""Name of each part to the expression that selects its tests; the first is shown as it runs."""
UNIT: Final = "tests/unit"
"""Where no test asks for a server: to collect it for nothing takes a pytest longer than all else."""
FILES: Final = (("--junitxml", "--junit-xml"), ("--log-file",), ("--report-log",))
"""Options, by all their names, whose file each part writes as a whole."""
NOTHING: Final = 5
"""How pytest says that no test was collected."""


def command(name: str, options: Sequence[str]) -> list[str]:
    """Return the command line of a part: what a pytest alone keeps in one place, each of two keeps in its own."""
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("-m", dest="marks")
    known.add_argument("--basetemp", type=Path)
    known.add_argument("-p", dest="plugins", action="append", default=[])
    for names in FILES:
        known.add_argument(*names, dest=names[0], type=Path)
    asked, _ = known.parse_known_args([*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *options])
    marks = f"({asked.marks}) and {PARTS[name]}" if asked.marks else PARTS[name]
    left = [] if name == "others" else [f"--ignore={UNIT}"]
    words = [*PYTEST, *options, *left, "-m", marks]
    if "no:cacheprovider" not in asked.plugins:
        words += ["-o", f"cache_dir=.pytest_cache/{name}"]
    if asked.basetemp is not None:
        asked.basetemp.mkdir(parents=True, exist_ok=True)
        words += ["--basetemp", str(asked.basetemp / name)]
    files = {option: getattr(asked, option) for option, *_ in FILES}
    words += [f"{option}={file.with_stem(f'{file.stem}-{name}')}" for option, file in files.items() if file]
    return words


def joined(codes: Sequence[int]) -> int:
    """Return the exit code of all parts: that a part had no tests is an error only where all had none."""
    wrong = [code for code in codes if code not in {0, NOTHING}]
    if wrong:
        return 128 - wrong[0] if wrong[0] < 0 else wrong[0]
    return 0 if 0 in codes else NOTHING


def side_by_side(options: Sequence[str]) -> int:
    """Run all parts; return their exit code."""
    running: list[subprocess.Popen[bytes]] = []
    hand_on(running)
    shown, *hidden = PARTS
    with ExitStack() as files, ThreadPoolExecutor(len(hidden)) as pool:
        running.append(subprocess.Popen(command(shown, options), cwd=ROOT))
        told, one_at_a_time = [], Lock()
        for name in hidden:
            said = files.enter_context(TemporaryFile())
            part = subprocess.Popen(
                command(name, options),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,  # one keyboard: it would wait for an answer to what it does not show
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            running.append(part)
            told.append(pool.submit(_told, part, said, one_at_a_time))
        running[0].wait()
        for each in told:
            each.result()
    return joined([part.returncode for part in running])


def hand_on(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Have all that run end in order when this process is interrupted; what comes from a terminal they get themselves."""

    def interrupt(number: int, _frame: object) -> None:
        for process in running:
            if number == signal.SIGTERM and process.poll() is None:
                process.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def _told(process: "subprocess.Popen[bytes]", said: IO[bytes], one_at_a_time: Lock) -> None:
    process.wait()
    said.seek(0)
    with one_at_a_time:
        sys.stdout.buffer.write(b"\n" + said.read())
        sys.stdout.flush()


def main() -> int:
    """Run what the arguments select."""
    options = sys.argv[1:]
    if os.environ.get("STACK") == "0":
        return subprocess.run([*PYTEST, *options], cwd=ROOT, check=False).returncode
    return side_by_side(options)


if __name__ == "__main__":
    sys.exit(main())
