"""Settings: the environment over the file over the defaults; what is wrong is named."""

from pathlib import Path

import pytest

from bal.config import CONFIG_FILE, load, strangers
from bal.core.errors import Misconfigured


def test_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CONFIG_FILE).write_text("workers = 2\n[lane]\nbatch_leaves = 100\nbatch_window_ms = 50\n")
    monkeypatch.setenv("BAL_LANE__BATCH_LEAVES", "200")
    settings = load(tmp_path)
    assert (settings.workers, settings.lane.batch_leaves, settings.lane.batch_window_ms) == (2, 200, 50)
    assert settings.gateway.port == 8443


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[lane]\nbatch_leves = 1\n", "lane.batch_leves"),
        ("lanes = []\n", "lanes"),
        ("lanes = ['Not a name']\n", "lanes"),
        ("[gateway]\nport = 70000\n", "gateway.port"),
        ("workers = many\n", CONFIG_FILE),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_the_setting(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path)
    assert refused.value.subject == named


def test_a_wrong_variable_is_refused_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAL_LANE__BATCH_LEAVES", "s3cret")
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path)
    assert refused.value.subject == "lane.batch_leaves"
    assert "s3cret" not in str(refused.value)


def test_a_misspelt_section_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAL_LAN__BATCH_LEAVES", "5")
    with pytest.raises(Misconfigured, match="no such setting"):
        load(tmp_path)


def test_variables_of_others_are_told_and_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAL_DEPLOYMENT", "blue")
    load(tmp_path)
    assert strangers() == ["BAL_DEPLOYMENT"]
