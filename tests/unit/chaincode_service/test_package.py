"""The package of the contract: its text, the same bytes whenever it is made."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from bal.stack.fabric.authority import Authority
from chaincode_service import package as package_module
from chaincode_service.errors import Unconfigured
from chaincode_service.package import label, package, package_id, sources, version
from chaincode_service.settings import Settings
from tests.unit.chaincode_service.conftest import environment


def test_the_package_holds_the_contract_and_nothing_else() -> None:
    with tarfile.open(fileobj=io.BytesIO(package())) as outer:
        assert outer.getnames() == ["metadata.json", "code.tar.gz"]
        metadata, code = (outer.extractfile(name) for name in outer.getnames())
        assert metadata is not None
        assert code is not None
        assert json.load(metadata) == {"type": "ccaas", "label": label()}
        with tarfile.open(fileobj=io.BytesIO(code.read())) as inner:
            names = inner.getnames()
            first = inner.extractfile("chaincode/certification.py")
            assert first is not None
            assert first.read() == sources()["certification.py"]
    assert names == [f"chaincode/{name}" for name in sources()]


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    file = tmp_path / "package.tar.gz"
    said = subprocess.run(
        [sys.executable, "-m", "chaincode_service.package", str(file)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert file.read_bytes() == package()
    assert said.strip() == package_id(package())
    assert said.startswith(f"certification-{version()}:")


def test_a_changed_contract_has_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = version()
    changed = {**sources(), "anchor.py": sources()["anchor.py"] + b"#"}
    monkeypatch.setattr(package_module, "sources", lambda: changed)
    assert version() != before
    assert package_id(package()).startswith(f"certification-{version()}:")


def test_the_id_is_taken_from_the_environment_or_from_the_code(organisation: Authority) -> None:
    told = environment(organisation, "127.0.0.1:9999")
    assert Settings.of(told).package_id == package_id(package())
    known = f"{label()}:{'0' * 64}"
    assert Settings.of({**told, "CORE_CHAINCODE_ID_NAME": known}).package_id == known
    assert (
        Settings.of({**told, "CHAINCODE_ID": "other:1", "CORE_CHAINCODE_ID_NAME": known}).package_id
        == "other:1"
    )


def test_code_that_was_not_approved_does_not_start(organisation: Authority) -> None:
    told = environment(organisation, "127.0.0.1:9999") | {
        "CHAINCODE_ID": f"certification-{'0' * 16}:{'0' * 64}"
    }
    with pytest.raises(Unconfigured, match="approved certification-0000000000000000, this is"):
        Settings.of(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAINCODE_SERVER_ADDRESS", ""),
        ("CHAINCODE_SERVER_ADDRESS", "127.0.0.1"),
        ("CHAINCODE_TLS_KEY", ""),
        ("CHAINCODE_TLS_CERT", "/nowhere"),
        ("CHAINCODE_CLIENT_CA_CERT", ""),
    ],
)
def test_what_lacks_is_named(organisation: Authority, name: str, value: str) -> None:
    with pytest.raises(Unconfigured, match=name):
        Settings.of(environment(organisation, "127.0.0.1:9999") | {name: value})
