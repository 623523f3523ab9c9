"""Whose certificate a subscriber's is, and what is told while its rights are not in force."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bal.cli.handout import Handout
from bal.cli.sources import app as sources
from bal.cli.subscribers import app as subscribers
from bal.core.errors import Conflict, NotFound, Unavailable
from bal.pki import Authority


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki")


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(subscribers, [*words, "--home", str(home)])


def test_a_name_that_was_given_to_somebody_else_meanwhile_is_neither_handed_out_nor_revoked(
    tmp_path: Path, ca: Authority
) -> None:
    """Two BALs on one CA: the folder of a subscriber that has gone is no proof of whose its name is now."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "bal.toml").write_text(f'[pki]\npath = "{ca.directory}"\n')
    assert CliRunner().invoke(sources, ["add", "dso-a", "--home", str(home)]).exit_code == 0
    add = ("add", "market-1", "--source", "dso-a")
    assert run(home, *add).exit_code == 0
    assert run(home, "remove", "market-1").exit_code == 0
    certificate, key = ca.issue_client("market-1")  # an identity of another BAL
    assert isinstance(run(home, *add).exception, Conflict)
    assert (home / "subscribers" / "market-1" / "market-1.key").read_bytes() != key.read_bytes()
    again = CliRunner().invoke(sources, ["add", "dso-a", "--reader", "market-1", "--home", str(home)])
    assert again.exit_code == 0
    gone = run(home, "remove", "market-1", "--json")
    assert json.loads(gone.stdout)["revoked"] == []
    known = ca.known(certificate.read_bytes())
    assert known is not None
    assert known.revoked_at is None


def test_what_was_handed_out_is_handed_out_again_while_it_is_valid(tmp_path: Path, ca: Authority) -> None:
    handout = Handout(tmp_path / "market-1", ca)
    assert (handout.certificate(), handout.is_valid, handout.others()) == (None, False, [])
    handout.write()
    first = handout.certificate()
    (handout.folder / "kafka.properties").unlink()
    handout.write()
    assert handout.certificate() == first
    assert (handout.folder / "kafka.properties").exists()
    assert handout.others() == []
    ca.issue_client("market-1", replace=True)
    assert [each == first for each in handout.others()] == [False]
    assert [each.serial for each in handout.revoke()] == [first.serial if first else ""]
    with pytest.raises(Conflict):
        handout.write()
    ca.revoke("market-1")
    assert handout.others() == []
    handout.write()
    assert handout.is_valid
    assert handout.certificate() != first


def test_a_certificate_of_another_authority_is_not_known(tmp_path: Path, ca: Authority) -> None:
    certificate, _ = Authority.create(tmp_path / "other").issue_client("market-1")
    own, _ = ca.issue_client("market-1")
    known = ca.known(own.read_bytes())
    assert known is not None
    assert known.name == "market-1"
    assert ca.known(certificate.read_bytes()) is None
    assert ca.known(own.read_bytes() + b"\n") is None
    assert ca.known(b"") is None


def test_rights_that_a_broker_has_not_read_are_not_told_as_given_or_taken(
    tmp_path: Path, ca: Authority
) -> None:
    home, rights = tmp_path / "home", tmp_path / "rights"
    home.mkdir()
    rights.mkdir()
    certificate, key = ca.issue_client("bal-a")
    inside = f'[pki]\npath = "{ca.directory}"\n'
    outside = (
        f'[mqtt]\nbroker = "outside"\nidentity = "bal-a"\nrights = "{rights}"\nport = 1\n'
        f'ca = "{ca.certificate_path}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    (home / "bal.toml").write_text(inside)
    assert CliRunner().invoke(sources, ["add", "dso-a", "--home", str(home)]).exit_code == 0
    added = run(home, "add", "market-1", "--source", "dso-a")
    assert added.stdout.startswith("subscriber market-1 reads dso-a\n")
    (home / "bal.toml").write_text(inside + outside)
    for words, told in (
        (("add", "market-2", "--source", "dso-a"), "subscriber market-2 is to read dso-a\n"),
        (("remove", "market-1", "--source", "dso-a"), "subscriber market-1 is to read no longer: dso-a\n"),
        (("remove", "market-2"), "subscriber market-2 is to read no longer: dso-a, certificate revoked\n"),
    ):
        done = run(home, *words)
        assert done.stdout.startswith(told)
        assert isinstance(done.exception, Unavailable), done.exception
        assert done.exception.what.startswith("recorded, and not in force at mqtt yet: ")
    suspended = CliRunner().invoke(
        sources, ["suspend", "dso-a", "--why", "test", "--json", "--home", str(home)]
    )
    assert isinstance(suspended.exception, Unavailable)
    assert list(json.loads(suspended.stdout)["not_in_force"]) == ["mqtt"]


def test_a_certificate_that_was_left_valid_is_revoked_at_the_next_go(tmp_path: Path) -> None:
    """Killed after the rights were taken: who reads nothing any more still has a certificate."""
    home = tmp_path / "home"
    assert CliRunner().invoke(sources, ["add", "dso-a", "--home", str(home)]).exit_code == 0
    assert run(home, "add", "market-1", "--source", "dso-a").exit_code == 0
    assert run(home, "remove", "market-1", "--source", "dso-a").exit_code == 0
    gone = run(home, "remove", "market-1", "--json")
    assert len(json.loads(gone.stdout)["revoked"]) == 1
    assert isinstance(run(home, "remove", "market-1").exception, NotFound)
