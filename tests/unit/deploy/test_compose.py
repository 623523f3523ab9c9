"""docker-compose.yml: good by the compose schema, and the same stack as without containers."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from bal.config import GatewaySettings, described
from bal.stack import cassandra, containers, kafka
from bal.stack.containers import PORTS
from bal.stack.fabric.installation import VERSION
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS
from bal.stack.fabric.server import Fabric
from bal.stack.layout import Layout, cache_path
from bal.stack.servers import servers
from make.stack import in_ci
from tests.patience import PATIENCE
from tests.unit.deploy.containers import ROOT, compose, copied, stack_paths

HERE = Path(__file__).parent
ONCE = {"prepare", "settle"}
MADE_LATER = {"cassandra/data", "cassandra/logs", "kafka/data", "kafka/logs", "kafka/data/meta.properties"}


def _lacking(reason: str) -> None:
    if not in_ci():
        pytest.skip(reason)
    pytest.fail(f"in CI this is there: {reason}")


@pytest.fixture(scope="module")
def with_tools() -> None:
    """Leave out, as all tests of the real servers, what needs Go or what Go built."""
    if os.environ.get("STACK") == "0":
        pytest.skip("left out by STACK=0")


@pytest.fixture(scope="module")
def schema(with_tools: None) -> dict[str, Any]:
    """Return the schema of compose files: of the Go module that Docker Compose itself reads them with."""
    if shutil.which("go") is None:
        _lacking("Go is missing: it fetches the compose schema")
    found = subprocess.run(
        ["go", "mod", "download", "-json", "github.com/compose-spec/compose-go/v2"],
        cwd=HERE,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if found.returncode:
        _lacking(f"the compose schema cannot be fetched: {found.stdout[-300:]}{found.stderr[-300:]}")
    path = Path(json.loads(found.stdout)["Dir"]) / "schema" / "compose-spec.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_the_file_is_good_by_the_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(compose(), schema)


def test_the_schema_refuses_what_is_no_compose_file(schema: dict[str, Any]) -> None:
    wrongs: list[dict[str, Any]] = [{"imagee": "x"}, {"depends_on": {"x": {}}}]
    for wrong in ({"services": {"bal": service}} for service in wrongs):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_every_service_that_is_waited_for_is_there() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], other
            assert (how["condition"] == "service_completed_successfully") is (other in ONCE)
    assert services["bal"]["depends_on"].keys() == {"settle"}
    assert set(services) == {*services["settle"]["depends_on"], "network", "prepare", "settle", "bal"}


def test_the_servers_are_those_of_the_stack_in_its_versions() -> None:
    services = compose()["services"]
    images = {service["image"] for service in services.values()}
    assert {image for image in images if ":" in image and "mosquitto" not in image} == {
        f"cassandra:{cassandra.VERSION}",
        f"apache/kafka:{kafka.VERSION}",
        f"hyperledger/fabric-peer:{VERSION}",
        f"hyperledger/fabric-orderer:{VERSION}",
    }
    assert services["mosquitto"]["image"].startswith("eclipse-mosquitto:2.")
    assert {server.name for server in servers()} == PORTS.keys()
    for server in servers():
        assert PORTS[server.name].keys() == set(server.port_names())
    numbers = [number for ports in PORTS.values() for number in ports.values()]
    assert len(numbers) == len(set(numbers))
    parts = {f"{each.name}-{part}" for each in ORGANISATIONS for part in ("orderer", "peer", "chaincode")}
    assert {name for name in services if "-" in name} == parts


def test_settings_and_ports_are_ones_there_are() -> None:
    services = compose()["services"]
    known = {f"BAL_{name.upper().replace('.', '__')}" for name, _, _ in described()}
    given = {name for service in services.values() for name in service.get("environment", {})}
    assert {name for name in given if name.startswith("BAL_")} <= known
    published = {int(port.rpartition(":")[2]) for port in services["network"]["ports"]}
    gateway = GatewaySettings.model_fields["port"].default
    assert published == {gateway, *PORTS["mosquitto"].values()}
    assert all(port.startswith("127.0.0.1:") for port in services["network"]["ports"])
    for name, port in (("mosquitto", "mqtt"), ("cassandra", "cassandra"), ("kafka", "kafka")):
        assert str(PORTS[name][port]) in " ".join(services[name]["healthcheck"]["test"])


def test_java_looks_for_revoked_certificates_as_it_does_without_containers() -> None:
    services = compose()["services"]
    assert set(kafka._REVOCATION) <= set(services["kafka"]["environment"]["KAFKA_OPTS"].split())
    wanted = {
        line
        for line in (ROOT / "scd" / "jvm.options").read_text().splitlines()
        if line.startswith("-D") and ("evocation" in line or "CRLDP" in line)
    }
    assert wanted <= set(services["cassandra"]["environment"]["JVM_EXTRA_OPTS"].split())


def test_nobody_is_root_and_no_secret_stands_in_the_file() -> None:
    for name, service in compose()["services"].items():
        assert service["user"] == "1000:1000", name
        assert service["cap_drop"] == ["ALL"], name
        assert "privileged" not in service
        for variable in service.get("environment", {}):
            assert not any(word in variable for word in ("PASSWORD", "SECRET", "TOKEN")), name


def test_what_the_servers_read_is_what_prepare_makes(tmp_path: Path, with_tools: None) -> None:
    """Every place below /stack that the file names is there, for its owner only, and again is no harm."""
    layout = Layout(tmp_path / "stack", cache_path())
    if not Fabric().is_installed(layout):
        _lacking("Fabric is not installed: bal stack install --only fabric")
    said: list[str] = []
    containers.prepare(layout, said.append)
    text = "\n".join(
        json.dumps([service.get(key) for key in ("entrypoint", "command", "environment", "healthcheck")])
        for service in compose()["services"].values()
    )
    named = {path for path in stack_paths(text) if path not in MADE_LATER}
    assert len(named) > 10
    assert {path for path in named if not (layout.path / path).exists()} == set()
    for process in Network(layout, PORTS["fabric"]).processes():
        assert f"containers/{process.name}.env" in named
    keys = [path for path in layout.path.rglob("*") if path.suffix == ".key" or path.name.endswith(".env")]
    assert keys
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
    before = {path: path.read_bytes() for path in layout.path.rglob("*.crt")}
    containers.prepare(layout, said.append)
    assert {path: path.read_bytes() for path in layout.path.rglob("*.crt")} == before


def test_files_that_are_mounted_or_copied_are_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for name in ("bal", "chaincode"):
        for source in copied(name):
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose()["volumes"] or (ROOT / source).exists()


# Not a script of a shell: dash loses a signal that comes while it starts a command.
BROKER = """
import os, pathlib, signal, sys, time
watched, heard = map(pathlib.Path, sys.argv[1:])
def tell(word):
    with heard.open("a") as file:
        file.write(word + "\\n")
    if word == "term":
        os._exit(0)
first = heard.with_name("first")
first.write_text("new\\n")
first.replace(watched)
time.sleep(2.5)
tell("up")  # before it listens: the signal may come at once
signal.signal(signal.SIGTERM, lambda *_: tell("term"))
signal.signal(signal.SIGHUP, lambda *_: tell("hup"))
while True:
    time.sleep(60)
"""


def test_a_broker_in_a_container_is_told_of_new_rights(tmp_path: Path) -> None:
    """Rights and the revocation list come from other containers, which cannot signal it; its end is passed on.

    What changes before it handles the signal is told once it does: the signal would have ended it.
    """
    watched, heard = tmp_path / "acl", tmp_path / "heard"
    watched.write_text("one")
    process = subprocess.Popen(
        [ROOT / "deploy" / "mosquitto.sh", sys.executable, "-c", BROKER, watched, heard],
        env={**os.environ, "WATCHED": str(watched)},
    )

    def until(lines: list[str]) -> None:
        end = time.monotonic() + PATIENCE
        while not heard.exists() or heard.read_text().split() != lines:
            assert time.monotonic() < end
            time.sleep(0.05)

    try:
        until(["up", "hup"])
        new = tmp_path / "new"
        new.write_text("two")
        new.rename(watched)
        until(["up", "hup", "hup"])
        process.terminate()
        until(["up", "hup", "hup", "term"])
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
