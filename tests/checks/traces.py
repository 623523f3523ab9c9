"""Searches every file of a folder for texts that must not be there, in every spelling they could have."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


class Trace(NamedTuple):
    """A text found where it must not be."""

    where: str
    text: str
    form: str


@cache
def forms(text: str) -> tuple[tuple[str, bytes], ...]:
    """Return the spellings of `text`: encodings, transport forms, and digests without a key."""
    plain = text.encode()
    found = [
        ("plain", plain),
        ("upper case", plain.upper()),
        ("lower case", plain.lower()),
        ("utf-16-le", text.encode("utf-16-le")),
        ("utf-16-be", text.encode("utf-16-be")),
        ("hex", plain.hex().encode()),
        ("HEX", plain.hex().upper().encode()),
        ("url", quote(text, safe="").encode()),
        ("url, every byte", "".join(f"%{byte:02X}" for byte in plain).encode()),
        ("reversed", plain[::-1]),
    ]
    found += [("base64", _base64(plain, shift)) for shift in range(3)]
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, plain).digest()
        found += [(name, digest), (f"{name} hex", digest.hex().encode())]
    return tuple({pattern: (name, pattern) for name, pattern in reversed(found)}.values())


def _base64(plain: bytes, shift: int) -> bytes:
    """Return the part of the base64 form that does not depend on what stands before and behind."""
    text = base64.b64encode(bytes(shift) + plain + bytes(-(shift + len(plain)) % 3))
    first = (shift * 8 + 5) // 6
    return text[first : (shift + len(plain)) * 8 // 6]


def in_bytes(content: bytes, where: str, texts: Iterable[str]) -> Iterator[Trace]:
    """Yield what of `texts` stands in `content`."""
    for text in texts:
        for form, pattern in forms(text):
            if pattern in content:
                yield Trace(where, text, form)


def in_folder(folder: Path, texts: Iterable[str]) -> list[Trace]:
    """Return what of `texts` stands in a file of `folder`, hidden ones and their names included."""
    wanted = list(texts)
    found: list[Trace] = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found += in_bytes(name.encode(), f"the name of {name}", wanted)
        if path.is_file():
            found += in_bytes(path.read_bytes(), name, wanted)
    return found


def raw_in_folder(folder: Path, *texts: bytes) -> list[str]:
    """Return the files of `folder` that hold one of `texts`, as such, in hex or in base64."""
    patterns = [form for text in texts for form in (text, text.hex().encode(), text.hex().upper().encode())]
    patterns += [_base64(text, shift) for text in texts for shift in range(3)]
    found = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if any(pattern in content for pattern in patterns):
            found.append(str(path.relative_to(folder)))
    return found
