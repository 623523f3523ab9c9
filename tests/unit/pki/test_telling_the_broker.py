"""Revoking where the broker is outside: the CA of the stack, the rights of the broker."""

from pathlib import Path

from typer.testing import CliRunner

from bal.cli.pki import app
from bal.core.acl import parse_acl
from bal.core.source import Source
from bal.ingest import BrokerRights
from bal.pki import Authority


async def test_revoking_takes_rights_away_and_issuing_gives_them_back(tmp_path: Path) -> None:
    home, rights = tmp_path / "home", tmp_path / "rights"
    home.mkdir()
    rights.mkdir()
    Authority.create(tmp_path / "pki")
    (home / "bal.toml").write_text(
        f'[pki]\npath = "{tmp_path / "pki"}"\n'
        f'[mqtt]\nbroker = "outside"\nidentity = "bal-a"\nrights = "{rights}"\n'
    )
    await BrokerRights(rights, "bal-a").grant([Source(name="dso-a", lane="lane")])

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
