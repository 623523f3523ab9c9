from pathlib import Path

import pytest
from typer.testing import CliRunner

from bal.cli.simulate import app
from bal.core.errors import BalError, Malformed, Misconfigured, Refused
from bal.simulate.plan import latest_begin


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("dso --source dso-a --broker 10.1.2.3:8883", Refused),
        ("pmu --source pmu-a --broker bal.example.org:8883", Refused),
        ("dso --source dso-a --url https://bal.example.org", Misconfigured),
        ("dso --source dso-a --broker 127.0.0.1", Malformed),
        ("dso --source Dso", Malformed),
        ("dso --source dso-a --meters 1000000", Malformed),
        ("dso --source dso-a --start 2026-10-29T00:01:00Z", Malformed),
        ("pmu --source pmu-a --rate 100", Malformed),
        ("dso --source dso-a --ca missing.pem", Misconfigured),
        ("dso --source dso-a --username u --password-file missing", Misconfigured),
    ],
)
def test_wrong_use_is_told(options: str, error: type[BalError]) -> None:
    result = CliRunner().invoke(app, options.split())
    assert type(result.exception) is error


def test_a_service_elsewhere_is_refused_before_the_token_is_sent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    options = [
        "dso",
        "--source",
        "dso-a",
        "--url",
        "https://10.0.0.1",
        "--token-file",
        str(tmp_path / "token"),
    ]
    assert type(CliRunner().invoke(app, options).exception) is Refused


@pytest.mark.parametrize("options", ["dso --documents 1", "pmu --seconds 0.1"])
def test_without_a_receipt_the_exit_code_is_2(options: str) -> None:
    command = [*options.split(), "--source", "s", "--broker", "127.0.0.1:1", "--drain-seconds", "0"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "without a receipt" in result.stdout


def test_no_message_is_ahead_of_the_clock() -> None:
    assert latest_begin(10_000, 4, 900, 900) == 9_100
    begin = latest_begin(10_000, 4, 900, 1)
    ends = [begin + 900 * (turn + 1) for turn in range(4)]
    assert [sent - end for sent, end in zip((10_000, 10_001, 10_002, 10_003), ends, strict=True)] == [
        2697,
        1798,
        899,
        0,
    ]
    assert latest_begin(10_000, 4, 900, 2_000) == 9_100
