"""`bal keys`: pseudonyms begin anew, what was asked by plain identifier is found under both."""

from pathlib import Path

from tests.e2e.command import bal
from tests.e2e.documents import one


def test_a_rotation_starts_new_pseudonyms(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ingest = ("ingest", "-", "--source", "dso-a", "--create-source", "--home", home)
    assert bal(*ingest, stdin=one("1", time="2026-01-31T12:00:00Z")).code == 0
    assert bal("keys", "rotate", "--home", home).code == 0
    assert bal(*ingest, stdin=one("2", time="2026-01-31T12:15:00Z")).code == 0
    shown = bal("readings", "--source", "dso-a", "--home", home, "--json").values()
    assert [entry["value"] for entry in shown] == ["2", "1"]
    assert len({entry["point"] for entry in shown}) == 2
    by_meter = bal(
        "readings", "--source", "dso-a", "--meter", "DE-METER-1", "--home", home, "--json"
    ).values()
    assert {entry["value"] for entry in by_meter} == {"1", "2"}
    assert [row["number"] for row in bal("keys", "list", "--home", home, "--json").values()] == [1, 2]
    assert bal("audit", "--home", home).code == 0


def test_a_time_before_the_last_key_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bal("ingest", "-", "--source", "dso-a", "--create-source", "--home", home, stdin=one())
    refused = bal("keys", "rotate", "--since", "1970-01-01", "--home", home)
    assert refused.code == 2
    assert "later time" in refused.err
