"""`bal demo`: exit code 0 only if everything happened; what it says can be done again."""

import json
import shlex
import subprocess
from pathlib import Path

from tests.e2e.command import SECONDS, arguments, environment


def demo(folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the demonstration as a process of its own in `folder`."""
    everything = environment(PYTHONPATH=str(Path(__file__).parents[2]))
    return subprocess.run(
        arguments("demo", "--seconds", "3", "--meters", "20", *words),
        cwd=folder,
        env=everything,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
        check=False,
    )


def test_the_report(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json", "--home", tmp_path / "home")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["audit"] == "clean"
    assert report["published"] == sum(report["readings"].values())
    assert report["readings"]["dso-demo"] >= 6 * 20
    assert report["readings"]["pmu-demo"] > 0
    assert json.loads(Path(report["certificate"]).read_text())["address"] == report["address"]
    assert report["tampered"].startswith("bal-1:")
    again = demo(tmp_path, "--home", tmp_path / "home")
    assert again.returncode == 1
    assert "in use" in again.stderr
    assert len(again.stderr.splitlines()) == 1


def test_the_lines_it_prints_pass(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("$ bal verify "))
    words = shlex.split(line)[2:]
    answer = subprocess.run(
        arguments(*words, "--json"),
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (answer.returncode, json.loads(answer.stdout)) == (0, {"valid": True, "reason": ""})
    assert "changed: bal-1:" in done.stdout
    assert "summary" in done.stdout
