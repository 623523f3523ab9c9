"""One process: found again by its id and start, ended by it and by nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bal.core.errors import Unavailable
from bal.stack import left, process
from bal.stack.layout import Layout
from bal.stack.process import Process


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(tmp_path, tmp_path)
    yield layout
    left.end([each.pid for each in left.named(layout) if each.pid])


def sleeper(layout: Layout, program: str = "exec sleep 600") -> Process:
    return Process("sleeper", ["/bin/sh", "-c", program], layout)


def test_started_once_and_stopped_cleanly(layout: Layout) -> None:
    one = sleeper(layout)
    assert one.pid is None
    one.start()
    pid = one.pid
    one.start()
    assert one.pid == pid is not None
    assert Process("sleeper", (), layout).pid == pid
    assert os.getsid(pid) == pid != os.getsid(0)
    one.stop()
    assert one.pid is None
    assert not layout.pid("sleeper").exists()
    one.stop()


def test_one_that_does_not_listen_is_ended_by_force(layout: Layout) -> None:
    one = sleeper(layout, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    one.start()
    while "ready" not in one.tail():
        assert one.pid is not None
    one.stop(seconds=0.3)
    assert one.pid is None


def test_one_that_cannot_be_ended_is_told(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sleeper(layout)
    one.start()
    monkeypatch.setattr(Process, "wait", lambda _self, _seconds: False)
    with pytest.raises(Unavailable, match="does not end"):
        one.stop()


def test_ids_that_others_have_now_are_not_touched(layout: Layout) -> None:
    one = sleeper(layout)
    one.start()
    layout.pid("sleeper").rename(layout.path / "kept")
    with subprocess.Popen(["sleep", "20"]) as stranger:
        for text in (f"{stranger.pid} 1", f"{stranger.pid}", "", "x y", f"{2**22 + 1} 5"):
            layout.pid("sleeper").write_text(text)
            assert one.pid is None, text
            one.stop()
        assert stranger.poll() is None
        stranger.kill()
    layout.pid("any").parent.mkdir(exist_ok=True)
    (layout.path / "kept").rename(layout.pid("sleeper"))
    assert one.pid is not None


def test_one_that_died_is_not_running_although_nobody_waited_for_it(layout: Layout) -> None:
    one = sleeper(layout, "echo the last words; exit 3")
    one.start()
    assert one.wait(30)
    assert one.tail() == "the last words\n"
    assert left.named(layout)[0].pid is None


def test_it_gets_no_secrets_of_whoever_started_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    program = "import os; print(sorted(os.environ), os.getcwd())"
    one = Process("one", [sys.executable, "-I", "-c", program], layout, {"OWN": "1"}, layout.path / "run")
    (layout.path / "run").mkdir()
    one.start()
    one.wait(30)
    assert "'OWN'" in one.tail()
    assert "'PATH'" in one.tail()
    assert "SECRET_TOKEN" not in one.tail()
    assert str(layout.path / "run") in one.tail()


def test_a_log_goes_on_and_is_put_aside_when_large(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sleeper(layout, "echo line")
    for _ in range(2):
        one.start()
        one.wait(30)
    assert one.tail() == "line\nline\n"
    monkeypatch.setattr(process, "_LOG_BYTES", 4)
    one.start()
    one.wait(30)
    assert one.tail() == "line\n"
    assert layout.log("sleeper").with_suffix(".old").read_text() == "line\nline\n"


def test_a_kill_is_seen_at_once(layout: Layout) -> None:
    one = sleeper(layout)
    one.start()
    one.signal(signal.SIGSTOP)
    assert one.pid is not None
    one.kill()
    assert one.pid is None
    one.signal(signal.SIGTERM)  # nobody there


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows a timer slack")
def test_its_waits_are_as_late_as_it_bears_and_ours_as_before(layout: Layout) -> None:
    own = Path("/proc/self/timerslack_ns").read_text()
    one = replace(sleeper(layout), timer_slack=1_234_567)
    one.start()
    assert Path(f"/proc/{one.pid}/timerslack_ns").read_text().strip() == "1234567"
    one.stop()
    assert Path("/proc/self/timerslack_ns").read_text() == own
    plain = sleeper(layout)
    plain.start()
    assert Path(f"/proc/{plain.pid}/timerslack_ns").read_text() == own
    plain.stop()
