"""Revoking where the broker is outside: the CA of the stack, the rights of the broker."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bal.cli.pki import app
from bal.cli.sources import app as sources
from bal.cli.subscribers import app as subscribers
from bal.core.acl import parse_acl
from bal.core.errors import NotFound, Unavailable
from bal.core.source import Source
from bal.home import Home
from bal.ingest import BrokerRights, RightsFolder
from bal.pki import Authority


async def test_revoking_takes_rights_away_and_issuing_gives_them_back(tmp_path: Path) -> None:
    home, rights = tmp_path / "home", tmp_path / "rights"
    home.mkdir()
    rights.mkdir()
    certificate, key = Authority.create(tmp_path / "pki").issue_client("bal-a")
    (home / "bal.toml").write_text(
        f'[pki]\npath = "{tmp_path / "pki"}"\n'
        f'[mqtt]\nbroker = "outside"\nidentity = "bal-a"\nrights = "{rights}"\nport = 1\n'
        f'ca = "{tmp_path / "pki" / "ca.crt"}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    await BrokerRights(RightsFolder(rights, lambda _topic: True, "bal-a"), "bal-a").grant(
        [Source(name="dso-a", lane="lane")]
    )

    def run(*arguments: str) -> None:
        done = CliRunner().invoke(app, [*arguments, "--home", str(home)])
        assert done.exit_code == 0, done.output

    def granted() -> set[str]:
        return set(parse_acl((rights / "acl").read_text()))

    run("issue", "dso-a")
    assert granted() == {"bal-a", "dso-a"}
    run("revoke", "dso-a")
    assert granted() == {"bal-a"}
    run("issue", "dso-a")
    assert granted() == {"bal-a", "dso-a"}


def test_a_broker_that_was_not_told_of_a_revocation_is_told_at_the_next_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Home] = []

    def away(_home: Home) -> None:
        raise Unavailable("the broker does not read")

    def revoke(name: str) -> Result:
        return CliRunner().invoke(app, ["revoke", name, "--home", str(tmp_path)])

    ca = Authority.create(tmp_path / "pki")
    ca.issue_client("dso-a")
    monkeypatch.setattr("bal.bootstrap.identities.tell_broker", away)
    assert isinstance(revoke("dso-a").exception, Unavailable)
    monkeypatch.setattr("bal.bootstrap.identities.tell_broker", told.append)
    done = revoke("dso-a")
    assert (done.exit_code, done.output) == (0, "dso-a was revoked before\n")
    assert len(told) == 1
    assert isinstance(revoke("nobody").exception, NotFound)


def test_the_revocation_list_is_signed_anew_and_a_broker_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []
    ca = Authority.create(tmp_path / "pki")
    monkeypatch.setattr(
        "bal.bootstrap.identities.tell_broker", lambda _home: told.append(ca.crl_path.read_bytes())
    )
    before = ca.crl_path.read_bytes()
    done = CliRunner().invoke(app, ["renew-crl", "--json", "--home", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert told == [ca.crl_path.read_bytes()] != [before]
    assert datetime.fromisoformat(json.loads(done.output)["until"]) > datetime.now(UTC) + timedelta(days=30)


def test_a_broker_is_told_of_subscribers_that_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once their certificate is issued, and once it is revoked: else it would go on letting them in."""
    told: list[list[bool]] = []

    def tell(home: Home) -> None:
        found = Authority.open(home.pki).list()
        told.append([each.revoked_at is not None for each in found if each.name == "market-1"])

    monkeypatch.setattr("bal.bootstrap.identities.tell_broker", tell)
    for program, *arguments in (
        (sources, "add", "dso-a"),
        (subscribers, "add", "market-1", "--source", "dso-a"),
        (subscribers, "remove", "market-1"),
    ):
        done = CliRunner().invoke(program, [*arguments, "--home", str(tmp_path / "home")])
        assert done.exit_code == 0, done.output
    assert told == [[False], [True]]
