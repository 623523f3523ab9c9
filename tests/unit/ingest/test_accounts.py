from pathlib import Path

import pytest

from bal.core.errors import Malformed, Misconfigured, NotFound
from bal.ingest import Accounts

PASSWORD = "correct horse battery"


async def test_only_the_right_password_of_the_right_name(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    accounts = Accounts(path)
    assert not await accounts.verify("dso-a", PASSWORD)
    accounts.put("dso-a", PASSWORD)
    other = Accounts(path)
    assert await other.verify("dso-a", PASSWORD)
    assert not await other.verify("dso-a", PASSWORD + " ")
    assert not await other.verify("dso-b", PASSWORD)
    assert not await other.verify("dso-a", "x" * 100_000)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    accounts.remove("dso-a")
    assert not other.has("dso-a"), "what another process wrote counts at once"
    assert accounts.names() == []


def test_what_cannot_be_an_account(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts")
    for name, password in (("dso-a", "short"), ("dso-a", "x" * 1000), ("a:b", PASSWORD), ("", PASSWORD)):
        with pytest.raises(Malformed):
            accounts.put(name, password)
    with pytest.raises(NotFound):
        accounts.remove("dso-a")
    (tmp_path / "accounts").write_text("no colon\n")
    with pytest.raises(Misconfigured):
        accounts.names()


async def test_a_hash_of_another_kind_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("dso-a:plain\n")
    assert not await Accounts(path).verify("dso-a", "plain")
