"""The operator's commands: sources, clients, users, certificates, settings, anchors, and what is amiss."""

import json
import ssl
import tomllib
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.command import Shell, bal


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("operator") / "home")
    shell.ingest(documents.many(3))
    return shell


def test_sources_are_added_changed_listed_suspended_and_resumed(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    added = shell.done("sources", "add", "dso-b", "--identity", "gateway-7", "--json").value()
    assert (added["name"], added["identities"], added["outputs"]) == ("dso-b", ["gateway-7"], ["jsonl"])
    changed = shell.done(
        "sources", "add", "dso-b", "--output", "mqtt", "--time-zone", "Europe/Berlin", "--json"
    )
    assert changed.value()["identities"] == ["gateway-7"]
    assert (changed.value()["outputs"], changed.value()["time_zone"]) == (["mqtt"], "Europe/Berlin")
    (listed,) = shell.done("sources", "list", "--json").values()
    assert {**listed, "not_in_force": {}} == changed.value()
    local = documents.one(time="2026-01-31T12:00:00")
    assert shell.ingest(local, "dso-b")["accepted"] == 1
    assert shell.readings(source="dso-b")[0]["timestamp"] == "2026-01-31T11:00:00.000000Z"

    assert shell.done("sources", "suspend", "dso-b", "--why", "test", "--json").value()["suspended"] is True
    refused = shell("ingest", "-", "--source", "dso-b", "--json", stdin=documents.one("2"))
    assert refused.code == 1
    total = refused.value()
    assert (total["accepted"], total["rejected"]) == (0, 1)
    assert total["rejections"][0]["reason"] == "this source is suspended"
    assert len(shell.readings(source="dso-b")) == 1
    (row,) = shell.done("rejections", "--json").values()
    assert (row["source"], row["where"]) == ("dso-b", "message")
    assert shell.done("sources", "resume", "dso-b", "--why", "test", "--json").value()["suspended"] is False
    assert shell.ingest(documents.one("2", time="2026-01-31T12:15:00Z"), "dso-b")["accepted"] == 1
    shell.clean()


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("sources", "add", "No Name"), "malformed"),
        (("sources", "add", "ok", "--output", "pigeon"), "invalid-request"),
        (("sources", "add", "ok", "--time-zone", "Mars/Base"), "malformed"),
        (("sources", "add", "ok", "--point-from", "moon"), "invalid-request"),
        (("sources", "add", "ok", "--lane", "bal-9"), None),
        (("sources", "add", "ok", "--rules", "/nonexistent"), "not-found"),
        (("sources", "suspend", "nobody", "--why", "x"), "unknown-source"),
        (("sources", "suspend", "dso-a"), "malformed"),
        (("clients", "revoke", "nobody"), "not-found"),
        (("clients", "add", "c", "--scope", "everything", "--source", "dso-a"), "malformed"),
        (("clients", "add", "c", "--scope", "readings"), "malformed"),
        (("users", "remove", "nobody"), None),
        (("users", "add", "No Name"), None),
        (("users", "add", "joe", "--password-file", "/nonexistent"), None),
        (("pki", "revoke", "nobody"), None),
        (("pki", "issue", "No Name/.."), None),
        (("anchors", "--log", "none"), "not-found"),
        (("anchors", "export", "--output", "/nonexistent/file"), "unavailable"),
        (("rejections", "--open", "99"), "not-found"),
        (("audit", "--heads", "/nonexistent/file"), None),
        (("simulate", "dso", "--source", "No Name"), None),
        (("simulate", "dso", "--source", "dso-a", "--broker", "elsewhere.example:1"), None),
        (("config", "nothing"), "malformed"),
        (("run", "--mqtt-port", "99999"), "malformed"),
        (("bench", "--readings", "1"), "malformed"),
        (("demo", "--seconds", "0"), "malformed"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(shell: Shell, words: tuple[str, ...], slug: str | None) -> None:
    home = () if words[0] in {"simulate", "bench"} else ("--home", shell.home)
    answer = bal(*words, "--json", *home)
    assert answer.code in {1, 2}, answer
    problem = answer.problem()
    assert problem["detail"]
    assert problem["type"] != "urn:bal:problem:internal", problem
    if slug is not None:
        assert problem["type"] == f"urn:bal:problem:{slug}"
    people = bal(*words, *home)
    assert people.code == answer.code
    assert people.err.startswith("bal: ")
    assert len(people.err.splitlines()) == 1, people


def test_verbs_that_read_need_a_home_and_make_none(tmp_path: Path) -> None:
    home = tmp_path / "nowhere"
    for words in (
        ("readings", "--source", "dso-a"),
        ("certificate", "bal-1:0:0"),
        ("audit",),
        ("rejections",),
        ("anchors",),
        ("anchors", "export"),
        ("sources", "list"),
        ("erase", "bal-1:0:0", "--why", "x"),
    ):
        answer = bal(*words, "--json", "--home", home)
        assert (answer.code, answer.out) == (2, ""), (words, answer)
        assert answer.problem()["type"] == "urn:bal:problem:not-found"
        assert not home.exists(), words


def test_clients(shell: Shell) -> None:
    words = ("clients", "add", "reader", "--scope", "readings", "--scope", "verify", "--source", "dso-a")
    made = shell.done(*words, "--json").value()
    assert (made["client_id"], made["scopes"]) == ("reader", ["readings", "verify"])
    assert len(made["client_secret"]) >= 32
    twice = shell(*words, "--json")
    assert (twice.code, twice.problem()["type"]) == (2, "urn:bal:problem:conflict")
    (listed,) = shell.done("clients", "list", "--json").values()
    assert listed["name"] == "reader"
    assert "secret" not in json.dumps(listed)
    assert made["client_secret"] not in (shell.home / "clients.json").read_text()
    sender = ("clients", "add", "sender", "--scope", "ingest", "--source", "dso-a", "--source", "dso-b")
    assert shell(*sender).code == 2
    assert shell.done(*sender, "--ingest-as", "dso-b", "--json").value()["ingest_as"] == "dso-b"
    assert "reader" in shell.done("clients", "list").out
    assert shell.done("clients", "revoke", "reader", "--json").value() == {"revoked": "reader"}
    assert [row["name"] for row in shell.done("clients", "list", "--json").values()] == ["sender"]


def test_users(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    made = shell.done("users", "add", "dso-a", "--json").value()
    assert len(made["password"]) >= 24
    given = shell.done("users", "add", "dso-b", "--password-file", "-", "--json", stdin=b"long enough 1\n")
    assert given.value() == {"name": "dso-b"}
    assert [row["name"] for row in shell.done("users", "list", "--json").values()] == ["dso-a", "dso-b"]
    text = (shell.home / "accounts.json").read_text()
    assert made["password"] not in text
    assert "long enough" not in text
    shell.done("users", "remove", "dso-a")
    assert shell.done("users", "list").out == "dso-b\n"


def test_pki(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    made = shell.done("pki", "issue", "dso-a", "--json").value()
    context = ssl.create_default_context(cafile=made["ca"])
    context.load_cert_chain(made["certificate"], made["key"])
    assert oct(Path(made["key"]).stat().st_mode & 0o777) == "0o600"
    again = shell("pki", "issue", "dso-a", "--json")
    renewed = shell.done("pki", "issue", "dso-a", "--renew", "--json").value()
    assert renewed == made
    assert again.code in {0, 2}
    first = shell.done("pki", "init", "--json").value()
    assert first["ca"] == made["ca"]
    shell.done("pki", "init", "--name", "bal.example", "--name", "127.0.0.1")
    revoked = shell.done("pki", "revoke", "dso-a", "--json").value()["revoked"]
    assert {each["name"] for each in revoked} == {"dso-a"}
    listed = shell.done("pki", "list", "--json").values()
    assert {(row["name"], row["revoked_at"] is not None) for row in listed} >= {("dso-a", True)}
    assert "revoked" in shell.done("pki", "list").out


def test_settings(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    assert shell.done("config", "show", "--json").value()["mqtt"]["port"] == 8883
    shell.done("config", "init")
    path = shell.home / "bal.toml"
    written = tomllib.loads(path.read_text())
    assert {"lane", "mqtt", "gateway", "cassandra", "fabric", "kafka"} <= written.keys()
    assert not any(written.values()), "every line is a comment"
    again = shell("config", "init", "--json")
    assert (again.code, again.problem()["type"]) == (2, "urn:bal:problem:conflict")
    uncommented = path.read_text().replace("# port = 8883", "port = 1883")
    path.write_text(uncommented)
    assert shell.done("config", "show", "--json").value()["mqtt"]["port"] == 1883
    assert "mqtt.port" in shell.done("config", "show").out
    over = bal("config", "show", "--json", "--home", shell.home, variables={"BAL_MQTT__PORT": "77"})
    assert over.value()["mqtt"]["port"] == 77
    for wrong in ({"BAL_MQTT__PORT": "secret-text"}, {"BAL_MQTTT__PORT": "1"}, {"BAL_WORKERS": "-1"}):
        answer = bal("ingest", "-", "--source", "a", "--json", "--home", shell.home, variables=wrong)
        assert answer.code == 2
        assert answer.problem()["type"] == "urn:bal:problem:misconfigured"
        assert "secret-text" not in answer.err
    path.write_text("nonsense = [")
    assert shell("config", "show").code == 2
    assert shell("doctor").code == 1


def test_anchors(shell: Shell, tmp_path: Path) -> None:
    shown = shell.done("anchors", "--json").values()
    assert [(row["log"], row["seq"], row["size"]) for row in shown] == [("bal-1", 0, 3)]
    assert "bal-1" in shell.done("anchors").out
    assert shell.done("anchors", "--from", "1", "--json").out == ""
    exported = shell.done("anchors", "export").values()
    path = tmp_path / "anchors.jsonl"
    summary = shell.done("anchors", "export", "--output", path, "--json").value()
    assert summary == {"anchors": 1, "heads": {"bal-1": {"seq": 0, "hash": shown[0]["hash"]}}}
    assert [json.loads(line) for line in path.read_text().splitlines()] == exported
    assert exported == [{name: value for name, value in shown[0].items() if name != "hash"}]


def test_doctor(shell: Shell, tmp_path: Path) -> None:
    checks = shell.done("doctor", "--json").values()
    assert all(check["ok"] for check in checks)
    assert {"Python", "SQLite", "permissions", "log bal-1"} <= {check["what"] for check in checks}
    empty = bal("doctor", "--json", "--home", tmp_path / "nowhere")
    assert empty.code == 0
    assert not (tmp_path / "nowhere").exists()
    shell.home.chmod(0o755)
    try:
        assert shell("doctor").code == 1
    finally:
        shell.home.chmod(0o700)


def test_lost_keys_are_not_made_anew(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    shell.ingest(documents.one())
    (shell.home / "keys" / "pseudonyms.json").unlink()
    for words in (("ingest", "-", "--source", "dso-a"), ("readings", "--source", "dso-a")):
        answer = shell(*words, "--json", stdin=documents.one("2"))
        assert answer.code == 2
        assert answer.problem()["subject"] == "keys/pseudonyms.json"
    shell.done("audit")  # needs no secret
    assert not (shell.home / "keys" / "pseudonyms.json").exists()


def test_help_is_there_for_every_verb() -> None:
    overview = bal("--help")
    assert overview.code == 0
    for verb in (
        *("demo", "run", "ingest", "readings", "certificate", "verify", "audit", "erase", "rejections"),
        *("bench", "doctor", "anchors", "sources", "clients", "users", "pki", "config", "simulate"),
    ):
        assert f"\n  {verb} " in overview.out
        assert "--json" in bal(verb, "--help").out or "Commands:" in bal(verb, "--help").out
    assert bal().code == 2
    assert bal("frobnicate").err == "bal: No such command 'frobnicate' (see `bal --help`)\n"
