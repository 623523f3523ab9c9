"""Fabric's commands, built from source by Go as the committed go.mod and go.sum say."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bal.core.errors import Unavailable
from bal.resources import resource
from bal.stack.download import pulse, run, whole
from bal.stack.layout import Layout
from bal.stack.server import Tell

VERSION: Final = "3.1.1"
COMMANDS: Final = ("configtxgen", "orderer", "osnadmin", "peer")
_MODULE: Final = "github.com/hyperledger/fabric"
_SAMPLES: Final = ("core.yaml", "orderer.yaml")
_GO: Final = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
"""No other toolchain is fetched, no version but those in go.mod and go.sum is taken."""
_ANSWER_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder of the built commands, named after version and digest of what says how they are built."""

    path: Path

    @classmethod
    def of(cls, layout: Layout) -> "Installation":
        """Return where they are, or will be."""
        source = resource("fabric-network")
        digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in ("go.mod", "go.sum")))
        return cls(layout.cache / "fabric" / f"{VERSION}-{digest.hexdigest()[:12]}")

    @property
    def configuration(self) -> Path:
        """Return the folder of Fabric's own core.yaml and orderer.yaml, which the environment overrides."""
        return self.path / "config"

    def command(self, name: str) -> Path:
        """Return one of Fabric's commands."""
        return self.path / "bin" / name

    def is_complete(self) -> bool:
        """Tell whether everything is there."""
        files = [self.command(name) for name in COMMANDS]
        return all(file.exists() for file in (*files, *(self.configuration / name for name in _SAMPLES)))

    def make(self, tell: Tell) -> None:
        """Download and build; an interrupted one leaves nothing."""
        source = resource("fabric-network")
        with whole(self.path) as begun:
            tell("downloading the modules that go.mod names")
            with pulse("go mod download", tell):
                module = _module(source)
            (begun / "config").mkdir()
            for name in _SAMPLES:
                shutil.copyfile(module / "sampleconfig" / name, begun / "config" / name)
            tell(f"building {', '.join(COMMANDS)}")
            (begun / "bin").mkdir()
            with pulse("go build", tell):
                run(
                    [
                        *("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{begun / 'bin'}/"),
                        *(f"{_MODULE}/cmd/{name}" for name in COMMANDS),
                    ],
                    directory=source,
                    environment=_GO,
                    tell=tell,
                    what="Fabric",
                )


def _module(source: Path) -> Path:
    """Return the folder of Fabric's module, downloaded and held against go.sum. Raises `Unavailable`."""
    argv = ("go", "mod", "download", "-json", _MODULE)
    try:
        said = subprocess.run(  # noqa: S603 - argv of this function
            argv,
            cwd=source,
            env={**os.environ, **_GO},
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        ).stdout
        return Path(json.loads(said)["Dir"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        message = f"Go does not get the module ({type(error).__name__})"
        raise Unavailable(
            message, subject=_MODULE, remedy="run `go mod download` in fabric-network"
        ) from error
