"""The service as a process: started by its environment, asked for its health, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from bal.stack.fabric.authority import Authority
from tests.unit.chaincode_service.conftest import Running, environment, listening
from tests.unit.chaincode_service.ports import free_port

COMMAND = [sys.executable, "-P", "-m", "chaincode_service"]


async def test_it_serves_until_it_is_told_to_end(organisation: Authority) -> None:
    told = environment(organisation, f"127.0.0.1:{free_port()}")
    asked = [*COMMAND, "--health"]
    with subprocess.Popen(COMMAND, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True) as process:
        try:
            await listening(told["CHAINCODE_SERVER_ADDRESS"])
            assert subprocess.run(asked, env={**os.environ, **told}, check=False).returncode == 0
        finally:
            process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "listening on" in said
    assert said.strip().endswith("stopped")
    assert subprocess.run(asked, env={**os.environ, **told}, check=False).returncode == 1


def test_a_port_that_is_taken_is_not_shared(organisation: Authority, service: Running) -> None:
    told = environment(organisation, service.settings.address)
    done = subprocess.run(
        COMMAND, env={**os.environ, **told}, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "chaincode_service: " in done.stderr
    assert service.settings.address.rpartition(":")[2] in done.stderr
    assert "Traceback" not in done.stderr


def test_without_settings_it_says_what_lacks() -> None:
    done = subprocess.run(
        COMMAND, env={"PATH": os.environ["PATH"]}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "chaincode_service: CHAINCODE_SERVER_ADDRESS must be host:port\n"
