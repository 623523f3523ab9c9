"""Ports are free when chosen, remembered, and out of the way of outgoing connections."""

import socket
from itertools import islice
from pathlib import Path

import pytest

from bal.core.errors import Malformed, Unavailable
from bal.stack import ports

HERE = Path("stack")


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        taken = server.getsockname()[1]
        assert not ports.is_free(taken)
    assert ports.is_free(taken)


def test_a_taken_port_is_passed_over() -> None:
    first = next(port for port in ports.candidates(HERE) if ports.is_free(port))
    with socket.create_server((ports.HOST, first)):
        chosen = ports.choose(HERE, {"one": ["main", "side"]}, {}, {})
    assert first not in chosen["one"].values()
    assert len(set(chosen["one"].values())) == 2


def test_each_folder_begins_elsewhere_below_the_ephemeral_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "range"
    told.write_text("32768\t60999\n")
    monkeypatch.setattr(ports, "_RANGE_FILE", told)
    one, other = (list(islice(ports.candidates(path), 20_000)) for path in (HERE, tmp_path))
    assert one[0] != other[0]
    assert sorted(one) == sorted(other) == list(range(20_000, 32_768))
    told.write_text("1024 65535\n")
    assert max(ports.candidates(HERE)) == 65_535


def test_what_is_remembered_stays_and_what_is_named_wins() -> None:
    remembered = {"one": {"main": 21_000}, "other": {"main": 21_001}}
    chosen = ports.choose(HERE, {"one": ["main", "side"]}, remembered, {"side": 21_002})
    assert chosen == {"one": {"main": 21_000, "side": 21_002}, "other": {"main": 21_001}}
    assert remembered == {"one": {"main": 21_000}, "other": {"main": 21_001}}
    assert ports.choose(HERE, {"one": ["main"]}, remembered, {"one.main": 22_000})["one"] == {"main": 22_000}


@pytest.mark.parametrize(
    ("configured", "what"),
    [
        ({"none": 1}, "no such port"),
        ({"one.none": 1}, "no such port"),
        ({"main": 1}, "several servers"),
        ({"side": 21_001}, "given twice"),
    ],
)
def test_wrong_names_and_doubles_are_refused(configured: dict[str, int], what: str) -> None:
    wanted = {"one": ["main", "side"], "two": ["main"]}
    with pytest.raises(Malformed, match=what):
        ports.choose(HERE, wanted, {"two": {"main": 21_001}}, configured)


def test_no_free_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(Unavailable, match="no port is free"):
        ports.choose(HERE, {"one": ["main"]}, {}, {})
