import json
import re
from pathlib import Path

import pytest

from bal.config import described, load
from tests.unit.docs.pages import blocks, code, page, rows, section

PAGE = "docs/settings.md"


def test_every_setting_is_listed_with_its_default_and_what_it_does() -> None:
    told = [
        (code(cells[0]), code(cells[1]), cells[2]) for cells in rows(section(page(PAGE), "## Every setting"))
    ]
    assert told == [(name, json.dumps(default), text) for name, default, text in described()]


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    names = {name for name, _, _ in described()}
    groups = "|".join({name.partition(".")[0] for name in names if "." in name})
    for name in (PAGE, "docs/guide.md", "docs/promises.md", "README.md", "docs/architecture.md"):
        told = set(re.findall(rf"`((?:{groups})\.[a-z_]+)`", page(name)))
        assert told <= names, name


def test_no_page_names_a_variable_that_does_not_exist() -> None:
    names = {f"BAL_{name.upper().replace('.', '__')}" for name, _, _ in described()} | {
        "BAL_HOME",
        "BAL_HAMMER",
        "BAL_STACK",
    }
    for name in (PAGE, "docs/guide.md", "README.md"):
        assert set(re.findall(r"\bBAL_[A-Z_]+[A-Z]\b", page(name))) <= names, name


def test_the_example_is_read(tmp_path: Path) -> None:
    (example,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    (tmp_path / "bal.toml").write_text(example)
    settings = load(tmp_path)
    assert (settings.workers, settings.lane.batch_window_ms) == (2, 100)


def test_the_variables_of_the_example_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = dict(re.findall(r"`(BAL_[A-Z_]+)='?([^'`]+)'?`", page(PAGE)))
    assert told == {"BAL_WORKERS": "2", "BAL_LANE__BATCH_WINDOW_MS": "100", "BAL_LANES": '["bal-1","bal-2"]'}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = load(tmp_path)
    assert (settings.workers, settings.lane.batch_window_ms, settings.lanes) == (2, 100, ("bal-1", "bal-2"))
