"""The contract as a chaincode package: its very text, so that what organisations approve is what runs.

Source of the format: Fabric docs, `cc_service` and `chaincode_lifecycle`: a tar.gz of metadata.json and code.tar.gz.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from importlib.resources import files
from pathlib import Path
from typing import Final

NAME: Final = "certification"
_DIGITS: Final = 16


def sources() -> dict[str, bytes]:
    """Return the files of the contract by name, in order."""
    found = {
        each.name: each.read_bytes() for each in files("chaincode").iterdir() if each.name.endswith(".py")
    }
    return dict(sorted(found.items()))


def version() -> str:
    """Return the digest of the contract's text: 16 hex digits of SHA-256 over names and contents, in order."""
    digest = hashlib.sha256()
    for name, content in sources().items():
        digest.update(b"%d %s %d " % (len(name), name.encode(), len(content)) + content)
    return digest.hexdigest()[:_DIGITS]


def label() -> str:
    """Return the package's label: the contract's name and the digest of its text."""
    return f"{NAME}-{version()}"


def package() -> bytes:
    """Return the package. No time, owner or order of a file system enters it."""
    code = _archive({f"chaincode/{name}": content for name, content in sources().items()})
    metadata = json.dumps({"type": "ccaas", "label": label()}, sort_keys=True).encode()
    return _archive({"metadata.json": metadata, "code.tar.gz": code})


def package_id(content: bytes) -> str:
    """Return the id by which peers know an installed package: its label and the SHA-256 of all of it."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        metadata = archive.extractfile("metadata.json")
        assert metadata is not None
        found = json.load(metadata)["label"]
    return f"{found}:{hashlib.sha256(content).hexdigest()}"


def _archive(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def main() -> int:
    """Write the package to the file named and print its id."""
    if len(sys.argv) != 2:
        sys.stderr.write("use: python -m chaincode_service.package FILE\n")
        return 2
    content = package()
    Path(sys.argv[1]).write_bytes(content)
    sys.stdout.write(f"{package_id(content)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
