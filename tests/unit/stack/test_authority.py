"""The CA of a stack, asked by several at a time, and what doctor says of its age."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bal.core.errors import Conflict
from bal.pki import RESERVED, Authority, gateway_of
from bal.pki import certificates as certificates_of
from bal.pki.authority import SERVER
from bal.stack import authority as room
from bal.stack import cassandra, cassandra_guests, kafka, mosquitto
from bal.stack.examination import examine
from bal.stack.fabric.authority import Authority as Organisation
from bal.stack.layout import Layout
from bal.stack.server import Guest
from bal.stack.stack import Stack


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "stack", tmp_path / "cache")


def test_several_at_a_time_get_one_ca_and_one_certificate_a_name(layout: Layout) -> None:
    names = ["a", "b"] * 4
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda name: room.issued(layout, name), names))
    assert len(set(paths)) == 2
    assert [each.name for each in Authority.open(layout.pki).list()] == ["a", "b"]


def test_a_revoked_one_gets_another(layout: Layout) -> None:
    certificate, _ = room.issued(layout, "a")
    before = certificate.read_bytes()
    with room.authority(layout) as ca:
        ca.revoke("a")
    room.issued(layout, "a")
    assert certificate.read_bytes() != before


def test_an_old_revocation_list_is_signed_anew_and_a_young_one_is_not(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.prepare(layout)
    crl = layout.pki / "crl.pem"
    young = crl.read_bytes()
    room.prepare(layout)
    assert crl.read_bytes() == young
    monkeypatch.setattr(certificates_of, "CRL_DAYS", 29)
    with room.authority(layout) as ca:
        ca.renew_crl()
    monkeypatch.undo()
    certificates = [each for each in examine(Stack(layout, [])) if each.what == "certificates"]
    assert [(each.ok, each.found) for each in certificates] == [
        (False, "expire within 30 days: pki/crl.pem (`bal stack up` signs it anew)")
    ]
    room.prepare(layout)
    assert room.revocation_list_ends(crl) > datetime.now(UTC) + timedelta(days=30)


def test_doctor_looks_at_no_certificate_that_nobody_shows(layout: Layout) -> None:
    def count() -> int:
        found = {each.what: each.found for each in examine(Stack(layout, []))}
        return int(found["certificates"].split()[0])

    room.issued(layout, "dso-a")
    assert list((layout.pki / "issued").iterdir())
    assert count() == 2  # the CA's and this one
    guests = Organisation(layout.server("fabric") / "organisations" / "dso", "DsoMSP")
    guests.prepare()
    certificate, _ = guests.guest("dso-a", "client")
    before = count()
    kept = guests.path / "revoked"
    kept.mkdir()
    certificate.parent.rename(kept / "dso-a.1")
    assert count() == before - 1
    for name in ("dso-a", "dso-a", "dso-b"):
        room.revoke(layout, [name])
    assert count() == before - 2


def test_an_identity_is_revoked_with_its_own_servers_and_without_anybody_elses(layout: Layout) -> None:
    """One CA serves several BALs, their sources and subscribers: a name alone says nothing of whose it is."""
    long = ["a" * 40 + "-1", "a" * 40 + "-2"]
    with room.authority(layout) as ca:
        for name in ("dso-a", "dso-b", *long):
            ca.issue_client(name)
            ca.issue_server(server=gateway_of(name))
        ca.issue_server(server="dso-a")
        room_for = ca.paths_of_server(gateway_of("dso-a"))
    room.revoke(layout, ["dso-a-gateway"])
    assert not [each for each in Authority.open(layout.pki).list() if each.revoked_at is not None]
    room.revoke(layout, ["dso-a", long[0]])
    gone = {(each.kind, each.name) for each in Authority.open(layout.pki).list() if each.revoked_at}
    assert gone == {
        ("client", "dso-a"),
        ("server", "dso-a-gateway"),
        ("client", long[0]),
        ("server", gateway_of(long[0])),
    }
    assert not any(path.exists() for path in room_for)
    assert all(path.exists() for path in Authority.open(layout.pki).paths_of_server("dso-a"))


def test_names_of_the_stacks_own_are_nobody_elses(layout: Layout) -> None:
    own = {
        *(server.BROKER for server in (kafka, mosquitto)),
        kafka.ADMIN,
        mosquitto.CHECK,
        cassandra.NODE,
        cassandra_guests.ADMIN,
        SERVER,
    }
    assert own == RESERVED
    for name in own:
        assert room.issued(layout, name)[0].exists()
        with pytest.raises(Conflict):
            Guest(name, "dso")
