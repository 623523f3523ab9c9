"""The end of a log, and what is added to it."""

from itertools import islice
from pathlib import Path

import pytest

from bal.core.errors import NotFound
from bal.stack import logs
from bal.stack.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path, tmp_path)
    layout.log("one").parent.mkdir()
    return layout


def test_the_last_lines(layout: Layout) -> None:
    layout.log("one").write_bytes(b"a\nb\xff\nc\nnot yet whole")
    assert logs.last_lines(layout, "one", 2) == ["b�", "c"]
    assert logs.last_lines(layout, "one", 0) == []
    assert logs.last_lines(layout, "two", 5) == []


def test_of_a_long_log_only_the_end_is_read_from_a_whole_line_on(layout: Layout) -> None:
    layout.log("one").write_text("".join(f"line {number:9}\n" for number in range(200_000)))
    found = logs.last_lines(layout, "one", 10**6)
    assert found[-1] == f"line {199_999:9}"
    assert 60_000 < len(found) < 80_000
    assert {len(line) for line in found} == {14}


def test_what_is_added_follows_each_line_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    additions = iter(["c", "d\n", "e\n"])

    def add(_seconds: float) -> None:
        with layout.log("one").open("a") as log:
            log.write(next(additions))

    monkeypatch.setattr("time.sleep", add)
    layout.log("one").write_text("a\nb\n")
    found = list(islice(logs.follow(layout, ["one", "two"], 1), 3))
    assert found == [("one", "b"), ("one", "cd"), ("one", "e")]


def test_a_log_that_was_cut_is_read_from_its_start(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.log("one").write_text("a long first line\n")
    monkeypatch.setattr("time.sleep", lambda _seconds: layout.log("one").write_text("new\n"))
    assert list(islice(logs.follow(layout, ["one"], 5), 2))[1] == ("one", "new")


def test_a_name_without_a_log_is_told_which_there_are(layout: Layout) -> None:
    with pytest.raises(NotFound, match="`bal stack up` first"):
        logs.check_process(layout, "two")
    layout.log("one").touch()
    assert logs.check_process(layout, "one") == "one"
    with pytest.raises(NotFound, match="choose among one"):
        logs.check_process(layout, "two")
