"""The tests on all real servers, on some, and on none run side by side, and end as one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import pytest

from make import tests as parts
from tests.real import pytest_collection_modifyitems
from tests.unit.house.tree import ROOT

STAND_IN = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored where the tests run in the background
part = sys.argv[-1].rpartition("/")[2]
print(part, "runs", *sys.argv[1:-4], flush=True)
if os.environ.get("READ"):
    print(part, "read", bool(sys.stdin.readline()), flush=True)
if os.environ.get("MEET"):  # none ends before all have begun
    open(os.path.join(os.environ["MEET"], part), "w").close()
    while len(os.listdir(os.environ["MEET"])) < 3:
        time.sleep(0.01)
if os.environ.get("WAIT"):
    try:
        print(part, "waits", flush=True)
        open(os.path.join(os.environ["MEET"], part + " waits"), "w").close()
        signal.pause()
    except KeyboardInterrupt:
        sys.exit(2)
print(part, "ended", flush=True)
sys.exit(int(os.environ[part]))
"""
DRIVER = f"import sys; from make import tests; tests.PYTEST = (sys.executable, '-c', {STAND_IN!r}); sys.exit(tests.main())"


def run(others: int, *options: str, typed: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", DRIVER, *options],
        cwd=ROOT,
        env=environment(others, **more),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def environment(others: int, **more: str) -> dict[str, str]:
    """Return what the parts are started with; all but the others end well."""
    kept = {name: value for name, value in os.environ.items() if name not in {"STACK", "PYTEST_ADDOPTS"}}
    return {**kept, "grid": "0", "real": "0", "others": str(others), **more}


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (5, 0, 0), (0, 5, 0), (5, 5, 5), (5, 1, 1), (2, 5, 2), (3, 1, 3)],
)
def test_the_worst_counts_and_no_test_at_all_is_an_error(one: int, other: int, code: int) -> None:
    assert parts.joined([one, other]) == code


def test_a_killed_part_is_a_failure() -> None:
    assert parts.joined([0, -signal.SIGKILL]) == 137


def test_all_run_at_a_time_and_the_output_of_a_hidden_one_stands_together(tmp_path: Path) -> None:
    done = run(1, "-x", "tests/unit", MEET=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.split("\n")
    begun = {name: f"{name} runs -x tests/unit --ignore=tests/unit" for name in ("grid", "real")}
    begun["others"] = "others runs -x tests/unit"
    assert [line for line in lines if line.startswith("grid")] == [begun["grid"], "grid ended"]
    for name in ("real", "others"):
        at = lines.index(begun[name])
        assert lines[at : at + 2] == [begun[name], f"{name} ended"]


def test_without_the_stack_there_is_one_that_tells_what_it_leaves_out(tmp_path: Path) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text("def test_of_a_server(real):\n    real('kafka')\n\ndef test_of_nothing():\n    pass\n")
    done = made(suite, tmp_path, STACK="0")
    assert done.returncode == 0, done.stdout
    assert "left out by STACK=0" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_a_unit_test_that_asks_for_a_server_is_told(request: pytest.FixtureRequest) -> None:
    item = copy(request.node)
    item.fixturenames = ["real"]
    with pytest.raises(
        pytest.UsageError, match="asks for a real server, tests/unit is not looked at for such"
    ):
        pytest_collection_modifyitems([item])


def test_every_closing_line_is_there(tmp_path: Path) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(
        "import pytest\n\n@pytest.mark.real\ndef test_of_a_server(tmp_path):\n    (tmp_path / 'made').touch()\n\n"
        "@pytest.fixture\ndef real():\n    pass\n\n@pytest.fixture\ndef grid(real):\n    pass\n\n"
        "def test_of_all(grid, tmp_path):\n    (tmp_path / 'made').touch()\n\n"
        "def test_of_nothing(tmp_path):\n    (tmp_path / 'made').touch()\n"
    )
    done = made(suite, tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("1 passed, 2 deselected in") == 3
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["grid", "others", "real"]


def test_files_that_are_asked_for_are_each_parts_own(tmp_path: Path) -> None:
    options = [f"--junitxml={tmp_path / 'all.xml'}", "--log-file", str(tmp_path / "all.log")]
    for part in ("real", "others"):
        words = parts.command(part, options)
        assert words[-2:] == [
            f"--junitxml={tmp_path / f'all-{part}.xml'}",
            f"--log-file={tmp_path / f'all-{part}.log'}",
        ]


def test_only_the_part_that_is_shown_reads_what_is_typed() -> None:
    done = run(0, READ="1", typed="\n" * 64 * 1024)  # more than one of them takes at once
    assert done.returncode == 0
    assert "grid read True\n" in done.stdout
    assert "real read False\n" in done.stdout
    assert "others read False\n" in done.stdout


def made(suite: Path, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the tests of a file as `make test` does."""
    words = ["-p", "tests.conftest", "--rootdir", str(ROOT), "-c", "pyproject.toml", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, ROOT / "make" / "tests.py", suite, *words],
        cwd=folder,
        env=environment(0, PYTEST_ADDOPTS=f"--basetemp={folder / 'base'}", **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("to", ["it alone", "all of them, as a terminal does"])
def test_an_interruption_ends_all(tmp_path: Path, to: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        cwd=ROOT,
        env=environment(0, WAIT="1", MEET=str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        try:
            for _ in range(2):
                assert started.stdout.readline() in {"grid runs --ignore=tests/unit\n", "grid waits\n"}
            while len(list(tmp_path.iterdir())) < 6:  # the others say nothing before they end
                time.sleep(0.01)
            if to == "it alone":
                started.terminate()
            else:
                os.killpg(started.pid, signal.SIGINT)
            rest = started.stdout.read()
            assert started.wait(60) == 2
        except BaseException:
            os.killpg(started.pid, signal.SIGKILL)  # nobody else would end them, and leaving waits for that
            raise
    assert "others runs" in rest
    assert "ended" not in rest


@pytest.mark.parametrize(
    ("ours", "options", "marks"),
    [
        ("", [], "grid"),
        ("", ["-m", "hammer or slow", "-k", "a"], "(hammer or slow) and grid"),
        ("-m hammer", ["-x"], "(hammer) and grid"),
        ("-m hammer", ["-m", "slow"], "(slow) and grid"),
    ],
)
def test_marks_that_are_asked_for_are_kept(
    monkeypatch: pytest.MonkeyPatch, ours: str, options: Sequence[str], marks: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", ours)
    words = parts.command("grid", options)
    assert words[words.index("-o") - 1] == marks
