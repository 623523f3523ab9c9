"""What the Dockerfiles put into an image is enough to run, as there is no Docker engine here."""

import os
import re
import shlex
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from bal.pki import Authority
from bal.stack.layout import Layout, cache_path
from bal.stack.stack import Stack
from tests.unit.deploy.containers import ROOT, compose, copied, dockerfile, handed, image, python, spawn
from tests.unit.stack.fakes import Fake


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _health(name: str) -> list[str]:
    line = next(line for line in dockerfile(name) if line.startswith("HEALTHCHECK"))
    listed = re.search(r"CMD \[(.*)\]$", line)
    assert listed is not None
    words = shlex.split(listed[1].replace(",", " ") if "-c" not in listed[1] else "")
    return words or [part.strip().strip('"') for part in re.findall(r'"((?:[^"])*)"', listed[1])]


def _until_healthy(
    process: "subprocess.Popen[str]", command: list[str], environment: dict[str, str], at: Path
) -> None:
    end = time.monotonic() + 90
    while subprocess.run(
        command, env=environment, cwd=at, capture_output=True, timeout=30, check=False
    ).returncode:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["bal", "chaincode"])
def test_images_are_slim_run_by_nobody_special_and_installed_by_hash(name: str) -> None:
    lines = dockerfile(name)
    assert lines[0].startswith("FROM python:3.11-slim")
    user = next(line.split()[1] for line in lines if line.startswith("USER "))
    assert user not in {"root", "0"}
    text = (Path(__file__).parents[3] / "deploy" / f"{name}.Dockerfile").read_text()
    assert text.count("pip install") == text.count("--require-hashes") == 1
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_who_runs_may_read_what_another_stage_installed(tmp_path: Path) -> None:
    """Modes are those that an install leaves; the owner is who the Dockerfile says."""
    lines = dockerfile("bal")
    number = next(
        found[1] for line in lines if (found := re.search(r"useradd --uid (\d+) --create-home bal\b", line))
    )
    user = f"{number}:{number}"
    assert "USER bal" in lines
    assert {service["user"] for service in compose()["services"].values()} == {user}

    # The cache lies, below what the image calls XDG_CACHE_HOME, where it was put; nothing else of that folder comes along.
    cache = next(found[1] for line in lines if (found := re.search(r"XDG_CACHE_HOME=(\S+)", line)))
    text = (ROOT / "deploy" / "bal.Dockerfile").read_text()
    assert f"XDG_CACHE_HOME={cache} /venv/bin/python -m bal stack install" in text
    copies = {place: each for place, each in handed("bal").items() if place.startswith(cache)}
    ours = cache_path().relative_to(cache_path().parents[1])  # bal/stack
    assert list(copies) == [f"{cache}/{ours.parent}"]
    (copy,) = copies.values()
    assert copy.source == f"{cache}/{ours.parent}"

    layout = Layout(tmp_path / "stack", tmp_path / ours)
    before = os.umask(0o022)  # root's, in the image that builds
    try:
        Stack(layout, [Fake("one")]).install(print)
    finally:
        os.umask(before)
    paths = [tmp_path / ours.parent, *(tmp_path / ours.parent).rglob("*")]
    assert len(paths) >= 4
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = 0o5 if path.is_dir() else 0o4
        given = mode >> 6 if copy.owner == user else mode
        assert given & wanted == wanted, f"{path.relative_to(tmp_path)} is {mode:o}, owned by {copy.owner}"


def test_bal_runs_from_exactly_what_its_image_gets(tmp_path: Path) -> None:
    environment = image("bal", tmp_path)
    port = _free_port()
    environment |= {
        "BAL_HOME": str(tmp_path / "home"),
        "BAL_GATEWAY__PORT": str(port),
        "BAL_MQTT__PORT": "0",
        "BAL_LOG__FORM": "json",
    }
    command = [part.replace("8443", str(port)) for part in _health("bal")]
    assert command[0] == "python"
    app = tmp_path / "app"
    process = spawn(python("-m", "bal", "run"), environment, app)
    try:
        _until_healthy(process, python(*command[1:]), environment, app)
        found = subprocess.run(
            python("-c", "import bal, chaincode; print(bal.__file__, chaincode.__file__)"),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert all(path.startswith(str(tmp_path)) for path in found.stdout.split())
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_the_tools_of_the_stack_find_their_files_in_the_image(tmp_path: Path) -> None:
    """`prepare` reads templates of every server."""
    environment = image("bal", tmp_path)
    script = (
        "from bal.resources import resource\n"
        "import bal.stack.containers\n"
        "print(*[resource(n) for n in ('kafka', 'mosquitto', 'scd', 'fabric-network')])\n"
    )
    found = subprocess.run(
        python("-c", script), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.split()) == 4
    assert all(path.startswith(str(tmp_path)) for path in found.stdout.split())


def test_the_contract_runs_from_exactly_what_its_image_gets(tmp_path: Path) -> None:
    assert not any(source.startswith("bal") for source in copied("chaincode"))
    environment = image("chaincode", tmp_path)
    authority = Authority.create(tmp_path / "pki")
    certificate, key = authority.issue_server(peer=True)
    environment |= {
        "CHAINCODE_SERVER_ADDRESS": f"127.0.0.1:{_free_port()}",
        "CHAINCODE_TLS_CERT": str(certificate),
        "CHAINCODE_TLS_KEY": str(key),
        "CHAINCODE_CLIENT_CA_CERT": str(authority.certificate_path),
    }
    app = tmp_path / "app"
    process = spawn(python("-m", "chaincode_service"), environment, app)
    try:
        health = [part for part in _health("chaincode")[1:] if part != "-P"]
        _until_healthy(process, python(*health), environment, app)
        alone = subprocess.run(
            python("-c", "import bal"), env=environment, cwd=app, capture_output=True, check=False
        )
        assert alone.returncode != 0
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
