"""What is installed is whole, is what was tested, and has one writer."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from bal.core.errors import Unavailable
from bal.stack import download
from tests.unit.stack.test_toolchain import script


def test_an_interrupted_one_leaves_nothing_and_the_old_stays(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "thing-1"
    with pytest.raises(KeyboardInterrupt), download.whole(target) as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert list(target.parent.iterdir()) == []
    with download.whole(target) as folder:
        (folder / "first").touch()
        assert not target.exists()
    with pytest.raises(OSError, match="disk"), download.whole(target) as folder:
        raise OSError("disk full")
    assert [path.name for path in target.iterdir()] == ["first"]
    with download.whole(target) as folder:
        (folder / "second").touch()
    assert [path.name for path in target.iterdir()] == ["second"]


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".begun-thing.0123"
    left.mkdir()
    other = tmp_path / ".begun-other.0123"
    other.mkdir()
    with download.whole(tmp_path / "thing"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".begun-other.0123", "thing"]


def test_a_second_install_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    waits, done = threading.Event(), threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        waits.set()

    def second() -> None:
        with download.installing(tmp_path, tell):
            done.set()

    with download.installing(tmp_path, print):
        other = threading.Thread(target=second)
        other.start()
        assert waits.wait(30)
        assert not done.is_set()
    other.join(30)
    assert done.is_set()
    assert told == ["another install is under way: waiting for it"]


def test_a_command_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    lines: list[str] = []
    argv = ["/bin/sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 3"]
    with pytest.raises(Unavailable, match=r"(?s)ended with 3: line 1.*line 3") as error:
        download.run(argv, directory=tmp_path, tell=lines.append, what="thing")
    assert (error.value.subject, lines) == ("thing", ["line 1", "line 2", "line 3"])
    with pytest.raises(Unavailable, match="cannot be run"):
        download.run([str(tmp_path / "none")], directory=tmp_path, what="thing")
    download.run(["/bin/sh", "-c", '[ "$A" = b ]'], directory=tmp_path, environment={"A": "b"}, what="thing")


def test_long_work_is_told_to_go_on_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PULSE_SECONDS", 0.01)
    told: list[str] = []
    twice = threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            twice.set()

    with download.pulse("go build", tell):
        assert twice.wait(30)
    count = len(told)
    assert set(told) == {"go build goes on, 0 s so far"}
    assert not threading.Event().wait(0.1)
    assert len(told) == count


@pytest.fixture
def mvn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for Maven that makes two jars where it is told to."""
    text = 'for each in "$@"; do case $each in -DoutputDirectory=*) out=${each#*=};; esac; done\n'
    text += 'echo "$@" >> "$(dirname "$0")/asked"; echo a > $out/a.jar; echo b > $out/b.jar'
    program = script(tmp_path / "bin" / "mvn", text)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def test_jars_come_once_checked_and_whole(tmp_path: Path, mvn: Path) -> None:
    target, told = tmp_path / "cache" / "thing-1", list[str]()
    sums = tmp_path / "jars.sha256"
    digests = {name: hashlib.sha256(f"{name}\n".encode()).hexdigest() for name in "ab"}
    sums.write_text("".join(f"{digest}  {name}.jar\n" for name, digest in digests.items()))
    for _ in range(2):
        download.maven_jars(tmp_path / "pom.xml", target, told.append, jars=2, sums=sums)
    assert sorted(path.name for path in target.iterdir()) == ["a.jar", "b.jar"]
    assert told == ["thing-1: 2 jars by Maven", "thing-1: installed, 0 MB"]
    (asked,) = (mvn.parent / "asked").read_text().splitlines()
    assert f"--strict-checksums -f {tmp_path / 'pom.xml'} {download.COPY_DEPENDENCIES}" in asked


@pytest.mark.parametrize(
    "sums", ["{a}  a.jar\n", "{a}  a.jar\n{a}  b.jar\n", "{a}  a.jar\n{b}  b.jar\n{b}  c.jar\n"]
)
def test_other_jars_than_those_tested_are_refused(tmp_path: Path, mvn: Path, sums: str) -> None:
    digests = {name: hashlib.sha256(f"{name}\n".encode()).hexdigest() for name in "ab"}
    (tmp_path / "jars.sha256").write_text(sums.format(**digests))
    target = tmp_path / "cache" / "thing-1"
    with pytest.raises(Unavailable, match="not the files that were tested"):
        download.maven_jars(tmp_path / "pom.xml", target, print, jars=2, sums=tmp_path / "jars.sha256")
    assert list(target.parent.iterdir()) == []


def test_another_number_of_jars_is_refused(tmp_path: Path, mvn: Path) -> None:
    with pytest.raises(Unavailable, match="2 jars instead of 3"):
        download.maven_jars(tmp_path / "pom.xml", tmp_path / "cache" / "thing", print, jars=3)
