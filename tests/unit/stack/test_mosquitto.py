import re
import stat
from pathlib import Path

import pytest

from bal.resources import resource
from bal.stack import mosquitto_install
from bal.stack.authority import revoke
from bal.stack.layout import Layout
from bal.stack.mosquitto import Mosquitto, configuration, rights_path
from bal.stack.mosquitto_install import program, version_said
from bal.stack.server import Guest

VALUES = {
    name: name
    for name in (
        ["user", "rights", "data", "port", "password_port", "address", "ca", "certificate", "key", "crl"]
    )
}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT broker", (2, 0, 11)),
        ("mosquitto version 2.1.2\n", (2, 1, 2)),
        ("mosquitto version 1.6.9 (build date)", (1, 6, 9)),
        ("something else 2.0", ()),
    ],
)
def test_brokers_say_their_version(said: str, version: tuple[int, ...]) -> None:
    assert version_said(said) == version


def test_the_configuration_holds_what_the_design_asks_for() -> None:
    lines = [line for line in configuration(VALUES).splitlines() if line and not line.startswith("#")]
    told = dict(line.split(" ", 1) for line in lines if not line.startswith(("log_type", "listener")))
    assert told["allow_anonymous"] == "false"
    assert told["retain_available"] == "false"
    assert told["persistence"] == "true"
    assert int(told["max_packet_size"]) > 8 * 1024 * 1024
    assert int(told["max_queued_messages"]) == 0
    assert int(told["max_inflight_messages"]) == 65_535
    assert told["acl_file"] == "rights/acl"
    certificates, passwords = [
        part.splitlines() for part in re.split(r"^listener ", "\n".join(lines), flags=re.MULTILINE)[1:]
    ]
    assert certificates[0] == "port address"
    assert {"require_certificate true", "use_identity_as_username true", "crlfile crl"} <= set(certificates)
    assert passwords[0] == "password_port address"
    assert "require_certificate false" in passwords
    assert not re.search(r"log_type (debug|subscribe|unsubscribe|all)", "\n".join(lines))


def test_a_guest_that_was_dismissed_is_let_in_again_when_it_is_admitted_again(tmp_path: Path) -> None:
    layout, broker, guest = Layout(tmp_path, tmp_path), Mosquitto(), Guest("dso-a", "dso")
    ports = dict.fromkeys(broker.port_names(), 1)
    broker.configure(layout, ports)
    folder = rights_path(layout)
    part = "user dso-a\ntopic read bal/dso-a/cim\n"

    def users() -> set[str]:
        return set(re.findall(r"^user (\S+)", (folder / "acl").read_text(), re.MULTILINE))

    for _ in range(2):
        broker.admit(layout, ports, guest)
        (folder / "dso-a.acl").write_text(part)
        broker.admit(layout, ports, guest)
        assert (folder / "dso-a.acl").read_text() == part  # what its sources got is left alone
        assert "dso-a" in users()
        revoke(layout, ["dso-a"])
        assert broker.dismiss(layout, ports, "dso-a") is True
        assert "dso-a" not in users()
    assert broker.dismiss(layout, ports, "dso-a") is False


def test_the_bridge_example_lets_nothing_else_through() -> None:
    text = (resource("mosquitto") / "bridge.conf.example").read_text()
    topics = [line for line in text.splitlines() if line.startswith("topic ")]
    assert {line.split()[2] for line in topics if "/cim" in line} == {"in"}
    assert all("#" not in line for line in topics)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _broker(path: Path, version: str) -> None:
    _program(path, f"echo 'mosquitto version {version}'")


def test_a_broker_of_the_system_comes_first_unless_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / "stack", tmp_path / "cache")
    monkeypatch.setattr(mosquitto_install, "_SYSTEM", (str(tmp_path / "sbin"),))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    assert program(layout, "mosquitto") is None
    (missing,) = Mosquitto().missing()
    assert missing.what == "Mosquitto 2.0 or newer and its clients"
    assert missing.remedy == "sudo dnf install mosquitto"
    assert not Mosquitto().is_installed(layout)
    ours = layout.cache / "mosquitto" / "usr" / "sbin" / "mosquitto"
    _broker(ours, "2.0.11")
    found = program(layout, "mosquitto")
    assert found is not None
    assert found.path == ours
    _broker(tmp_path / "sbin" / "mosquitto", "1.6.9")
    assert program(layout, "mosquitto") == found
    _broker(tmp_path / "bin" / "mosquitto", "2.1.2")
    newer = program(layout, "mosquitto")
    assert newer is not None
    assert newer.path == tmp_path / "bin" / "mosquitto"
    assert dict(newer.environment) == {}


def test_what_lacks_of_broker_and_clients_is_named_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_ = tmp_path / "bin"
    monkeypatch.setattr(mosquitto_install, "_SYSTEM", ())
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    _broker(bin_ / "mosquitto", "2.0.18")
    _program(bin_ / "zypper", "")
    (missing,) = Mosquitto().missing()
    assert missing.what == "mosquitto_pub, Mosquitto's client"
    assert missing.remedy == "sudo zypper install mosquitto mosquitto-clients"

    for name in ("apt-get", "dpkg-deb"):
        _program(bin_ / name, "")
    # No list of packages was ever fetched: apt knows what is installed and nothing else.
    _program(bin_ / "apt-cache", "echo 'Package: mosquitto'")
    (missing,) = Mosquitto().missing()
    assert missing.remedy == "sudo apt-get update"
    _program(bin_ / "apt-cache", "echo 'Package: mosquitto'; echo 'Package: mosquitto-clients'")
    assert Mosquitto().missing() == []
    for name in ("apt-get", "dpkg-deb", "apt-cache"):
        (bin_ / name).unlink()
    _program(bin_ / "mosquitto_pub", "")
    assert Mosquitto().missing() == []
