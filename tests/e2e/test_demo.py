"""`bal demo`: exit code 0 only if everything happened; what it says can be done again."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.command import ROOT, SECONDS, Answer, arguments, bal, environment

SENDING, METERS = 3, 20


class Demo(NamedTuple):
    """One run of the demonstration."""

    folder: Path
    answer: Answer


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Demo]:
    """Return what the demonstration told people in a temporary home, and machines in a home of its own; both at once."""
    folders = [tmp_path_factory.mktemp(name) for name in ("people", "machines")]
    more: tuple[tuple[str | Path, ...], ...] = ((), ("--json", "--home", folders[1] / "home"))
    sending = ("--seconds", str(SENDING), "--meters", str(METERS))
    running = [
        subprocess.Popen(
            arguments("demo", *sending, *words),
            cwd=folder,
            env=environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder, words in zip(folders, more, strict=True)
    ]
    people, machines = [(*process.communicate(timeout=SECONDS), process.returncode) for process in running]
    return (
        Demo(folders[0], Answer(people[2], people[0], people[1])),
        Demo(folders[1], Answer(machines[2], machines[0], machines[1])),
    )


def test_the_report(demos: tuple[Demo, Demo]) -> None:
    folder, answer = demos[1]
    assert (answer.code, answer.err) == (0, "")
    report = answer.value()
    assert report["audit"] == "clean"
    assert report["published"] == sum(report["readings"].values())
    assert report["readings"]["dso-demo"] >= 2 * SENDING * METERS
    assert report["readings"]["pmu-demo"] > 0
    assert json.loads(Path(report["certificate"]).read_text())["address"] == report["address"]
    assert report["tampered"].startswith("bal-1:")
    home = folder / "home"
    audit = bal("audit", "--json", "--home", home)
    assert (audit.code, audit.value()["ok"]) == (0, True)  # what was changed was put back
    assert audit.value()["readings"] == report["published"]
    assert bal("certificate", report["tampered"], "--home", home).code == 0
    again = bal("demo", "--home", home)
    assert again.code == 1
    assert "in use" in again.err
    assert len(again.err.splitlines()) == 1


def test_the_lines_it_prints_pass(demos: tuple[Demo, Demo]) -> None:
    folder, answer = demos[0]
    assert (answer.code, answer.err) == (0, "")
    (line,) = (line for line in answer.out.splitlines() if line.startswith("$ bal verify "))
    files = [word if word.startswith("--") else str(folder / word) for word in shlex.split(line)[3:]]
    verdict = bal("verify", *files, "--json", variables={"BAL_HOME": str(folder / "nowhere")})
    assert (verdict.code, verdict.value()) == (0, {"valid": True, "reason": ""})
    assert "\nchanged: bal-1:" in answer.out
    assert "summary" in answer.out
    temporary = next(word for word in answer.out.split() if word.endswith(":") and "bal-demo-" in word)
    assert not Path(temporary.rstrip(":")).exists()
