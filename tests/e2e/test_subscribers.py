"""`bal subscribers`: certificate and rights come and go together; what is narrower than a source stays narrow."""

import json
from pathlib import Path

from bal.core.ownership import Ownership
from bal.core.source import Source
from bal.pki import Authority
from tests.e2e import documents
from tests.e2e.command import Shell


def rights(shell: Shell) -> Ownership:
    return Ownership(
        [Source.model_validate(each) for each in shell.done("sources", "list", "--json").values()]
    )


def test_a_subscriber_comes_is_seen_and_goes(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell.done("sources", "add", "dso-a", "--output", "jsonl", "--output", "mqtt", "--output", "mqtt-flat")
    shell.done("sources", "add", "dso-b", "--output", "mqtt")
    made = shell.done("subscribers", "add", "market-1", "--source", "dso-a", "--json").value()
    assert made["mqtt"] == ["bal/dso-a/certified/+", "bal/dso-a/readings/+"]
    assert made["kafka"] == []
    folder = Path(made["folder"])
    assert {path.name for path in folder.iterdir()} == {
        *("ca.crt", "market-1.crt", "market-1.key", "market-1.pem", "kafka.properties")
    }
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in ("market-1.key", "market-1.pem"))
    first = (folder / "market-1.crt").read_bytes()
    shell.done("subscribers", "add", "market-1", "--source", "dso-b")
    assert (folder / "market-1.crt").read_bytes() == first, "one certificate, whatever it reads"
    listed = shell.done("subscribers", "list", "--json").values()
    assert [(each["name"], each["source"], each["points"], each["certificate"]) for each in listed] == [
        ("market-1", "dso-a", None, "valid"),
        ("market-1", "dso-b", None, "valid"),
    ]
    assert rights(shell).rights_of("market-1").may_subscribe("bal/dso-a/certified/+")

    shell.done("subscribers", "remove", "market-1", "--source", "dso-b")
    assert not rights(shell).rights_of("market-1").may_subscribe("bal/dso-b/certified/+")
    gone = shell.done("subscribers", "remove", "market-1", "--json").value()
    assert (gone["sources"], len(gone["revoked"])) == (["dso-a"], 1)
    assert shell.done("subscribers", "list", "--json").values() == []
    (certificate,) = [e for e in shell.done("pki", "list", "--json").values() if e["name"] == "market-1"]
    assert certificate["revoked_at"] is not None
    again = shell("subscribers", "remove", "market-1", "--json")
    assert (again.code, again.problem()["type"]) == (2, "urn:bal:problem:not-found")


def test_a_subscriber_of_one_meter_reads_that_one(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell.ingest(documents.document(documents.meter("DE-METER-1", documents.reading())))
    shell.done("sources", "add", "dso-a", "--output", "mqtt")
    (point,) = {each["point"] for each in shell.readings()}
    made = shell.done("subscribers", "add", "home-1", "--source", "dso-a", "--meter", "DE-METER-1", "--json")
    assert made.value()["points"] >= 1
    own = rights(shell).rights_of("home-1")
    assert own.may_subscribe(f"bal/dso-a/certified/{point}")
    assert own.may_subscribe(f"bal/dso-a/readings/{point}")
    assert not own.may_subscribe("bal/dso-a/certified/+")
    assert not own.may_subscribe(f"bal/dso-a/certified/{'a' * 26}")
    more = shell.done("subscribers", "add", "home-1", "--source", "dso-a", "--point", "a" * 26, "--json")
    assert more.value()["points"] == 1
    assert rights(shell).rights_of("home-1").may_subscribe(f"bal/dso-a/certified/{'a' * 26}")
    assert rights(shell).rights_of("home-1").may_subscribe(f"bal/dso-a/certified/{point}"), (
        "added, not replaced"
    )
    wrong = shell("subscribers", "add", "home-2", "--source", "dso-a", "--point", "DE-METER-1", "--json")
    assert wrong.code != 0
    assert "DE-METER-1" not in wrong.err


def test_who_sends_is_no_subscriber_and_keeps_its_certificate(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell.done("sources", "add", "dso-a", "--identity", "gateway-7", "--reader", "gateway-7")
    shell.done("pki", "issue", "gateway-7")
    for name in ("dso-a", "gateway-7", "bal"):
        refused = shell("subscribers", "add", name, "--source", "dso-a", "--json")
        assert (refused.code, refused.problem()["type"]) == (2, "urn:bal:problem:conflict"), name
    gone = shell.done("subscribers", "remove", "gateway-7", "--json").value()
    assert gone == {
        "name": "gateway-7",
        "sources": ["dso-a"],
        "rejected": False,
        "revoked": [],
        "not_in_force": {},
    }
    told = shell("subscribers", "add", "market-1", "--source", "dso-a")
    assert (told.code, told.err) == (
        0,
        "nothing of dso-a goes out yet: bal sources add dso-a --output kafka\n",
    )
    unknown = shell("subscribers", "add", "market-1", "--source", "dso-z", "--json")
    assert json.loads(unknown.err)["type"] == "urn:bal:problem:unknown-source"


def test_a_name_that_is_somebody_elses_is_no_subscribers(tmp_path: Path) -> None:
    """Of servers, of their administrators, and of whoever else the authority knows: its key is not handed out."""
    pki = tmp_path / "pki"
    ca = Authority.create(pki)
    ca.issue_client("other-bal")
    ca.issue_client("kafka-admin", service=True)
    ca.issue_server(server="dso-gateway")
    own = [ca.issue_client(name) for name in ("this-bal", "this-admin")]
    files = [tmp_path / name for name in ("a.crt", "b.crt")]
    for file, (certificate, _) in zip(files, own, strict=True):
        file.write_bytes(certificate.read_bytes())  # named otherwise than who bears it
    home = tmp_path / "home"
    home.mkdir()
    (home / "bal.toml").write_text(
        f'[pki]\npath = "{pki}"\n[kafka]\ncertificate = "{files[0]}"\nadmin_certificate = "{files[1]}"\n'
    )
    shell = Shell(home)
    before = [each.serial for each in ca.list()]
    others = ("other-bal", "kafka-admin", "dso-gateway", "this-admin")
    shell.done("sources", "add", "dso-a", *(f"--reader={name}" for name in others))
    for name in others:
        refused = shell("subscribers", "add", name, "--source", "dso-a", "--json")
        assert (refused.code, refused.problem()["type"]) == (2, "urn:bal:problem:conflict"), name
        assert not (home / "subscribers" / name).exists()
        gone = shell.done("subscribers", "remove", name, "--json").value()
        assert gone["revoked"] == [], name
    assert [(each.serial, each.revoked_at) for each in ca.list()] == [(serial, None) for serial in before]


def test_what_was_refused_is_read_on_kafka_alone_and_apart_from_sources(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell.done("sources", "add", "dso-a", "--output", "mqtt")
    without = shell("subscribers", "add", "desk", "--rejected", "--json")
    assert (without.code, without.problem()["type"]) == (2, "urn:bal:problem:misconfigured")
    for words in ((), ("--source", "dso-a", "--rejected"), ("--rejected", "--meter", "DE-METER-1")):
        unclear = shell("subscribers", "add", "desk", *words, "--json")
        assert (unclear.code, unclear.problem()["type"]) == (2, "urn:bal:problem:malformed"), words
    unclear = shell("subscribers", "remove", "desk", "--source", "dso-a", "--rejected", "--json")
    assert (unclear.code, unclear.problem()["type"]) == (2, "urn:bal:problem:malformed")
    absent = shell("subscribers", "remove", "desk", "--rejected", "--json")
    assert (absent.code, absent.problem()["type"]) == (2, "urn:bal:problem:not-found")
    assert shell.done("subscribers", "list", "--json").values() == []
    assert not (shell.home / "subscribers").exists()
