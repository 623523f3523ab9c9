r"""Certificates: the strict form (design, section 5) and the check against a trusted anchor.

What is accepted is one text per certificate, up to white space between the tokens and the order of members:

- on one line without white space (a line end may follow), every byte counts: no replaced byte passes;
- with white space between tokens (pretty-printed) that white space is free;
- texts are escaped as RFC 8785 demands, or with every character outside ASCII as lower-case `\uXXXX` (what
  `json.dumps` writes); numbers are integers without sign, fraction or exponent. Other spellings of the same JSON value
  (`1.0`, `\u0061`, `\/`) are refused;
- members are exactly the design's, each once. Their order is free: JSON tools reorder them, and the leaf is over the
  RFC 8785 form of `entry`, which has an order of its own.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NoReturn

from bal.core.address import Address
from bal.core.certified import CERTIFICATE_VERSION
from bal.core.commitment import Commitment
from bal.core.entry import SALT_BYTES, Entry, from_json
from bal.core.errors import Invalid, Malformed
from bal.core.value import is_canonical_value
from chaincode.anchor import MAX_SEQ, MAX_SIZE, Anchor, check_time
from chaincode.errors import ContractError
from chaincode.merkle import path_length, root_from_path
from chaincode.names import is_name

CERTIFICATE_BYTES: Final = 256 * 1024
"""Largest certificate looked at. With 256 sources in its anchor one has 50 kB; white space may multiply that."""
ERASURE_TEXT_CHARACTERS: Final = 500
"""Longest `who` and `why` of an erasure."""
LEDGERS: Final = frozenset({"embedded", "fabric"})

_MEMBERS: Final = frozenset(("version", "address", "entry", "salt", "tree_size", "path", "anchor"))
_LEDGER_MEMBERS: Final = ("ledger", "channel", "tx_id", "block", "time", "organisation")
_ANCHOR_MEMBERS: Final = frozenset(
    (
        "version",
        "log",
        "seq",
        "root",
        "size",
        "previous",
        "first",
        "last",
        "counts",
        "rules",
        *_LEDGER_MEMBERS,
    )
)
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TOKEN_OR_SPACE: Final = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")|[ \t\r\n]+')
_SPACE: Final = dict.fromkeys(map(ord, " \t\r\n"))
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9.-]{0,248}")
_ORGANISATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the right form. It proves nothing until `check` has held it against a trusted anchor."""

    address: Address
    entry: Entry
    leaf: bytes
    """SHA-256(0x00 || salt || RFC 8785 form of `entry` as it stands in the certificate)."""
    salt: bytes
    tree_size: int
    path: tuple[bytes, ...]
    anchor: Commitment

    def check(self, trusted: Commitment) -> None:
        """Raise `Invalid` with the reason unless the entry stands where the certificate says under `trusted`."""
        anchor, (log, seq, index) = self.anchor.anchor, self.address
        if self.tree_size != anchor.size:
            _refuse("the tree size is not the anchor's size")
        if log != anchor.log or seq != anchor.seq:
            _refuse("the address is not in the anchor's batch")
        if index >= anchor.size:
            _refuse("the index of the address lies outside the batch")
        if len(self.path) != path_length(index, self.tree_size):
            _refuse("the path has another length than index and tree size require")
        stated, held = self.anchor.to_json(), trusted.to_json()
        if stated != held:
            differing = ", ".join(name for name in held if stated[name] != held[name])
            _refuse(f"the anchor is not the trusted one: {differing}")
        if root_from_path(self.leaf, index, self.tree_size, self.path).hex() != trusted.anchor.root:
            _refuse("entry, salt and path do not lead to the anchored root")


def parse(text: bytes | str) -> Certificate:
    """Return the certificate written in `text`; raise `Invalid` for anything of another form."""
    members = strict_object(text, CERTIFICATE_BYTES)
    if members.keys() != _MEMBERS:
        _refuse(f"a certificate has exactly the members {', '.join(sorted(_MEMBERS))}")
    if type(members["version"]) is not int or members["version"] != CERTIFICATE_VERSION:
        _refuse(f"this is no certificate of version {CERTIFICATE_VERSION}")
    address = _address(members["address"])
    salt = members["salt"]
    if type(salt) is not str or len(salt) != 2 * SALT_BYTES or not _HASH.fullmatch(salt * 2):
        _refuse(f"the salt is {2 * SALT_BYTES} lower-case hex digits")
    size = members["tree_size"]
    if type(size) is not int or not 1 <= size <= MAX_SIZE:
        _refuse(f"the tree size is an integer from 1 to {MAX_SIZE}")
    path = members["path"]
    if type(path) is not list or not all(type(node) is str and _HASH.fullmatch(node) for node in path):
        _refuse("the path is a list of 64 lower-case hex digits each")
    entry = members["entry"]
    typed = _entry(entry)
    canonical = _dumps(dict(sorted(entry.items())), ensure_ascii=False).encode()
    raw_salt = bytes.fromhex(salt)
    return Certificate(
        address,
        typed,
        sha256(b"\0" + raw_salt + canonical).digest(),
        raw_salt,
        size,
        tuple(map(bytes.fromhex, path)),
        read_commitment(members["anchor"]),
    )


def read_commitment(members: object) -> Commitment:
    """Return the anchor of a certificate, or of a line of an export; raise `Invalid` for another form."""
    if not isinstance(members, dict) or members.keys() != _ANCHOR_MEMBERS:
        _refuse(f"an anchor has exactly the members {', '.join(sorted(_ANCHOR_MEMBERS))}")
    own = {name: members[name] for name in _LEDGER_MEMBERS}
    block = own["block"]
    if type(block) is not int or not 0 <= block <= MAX_SEQ:
        _refuse("the block of an anchor is an integer")
    texts = {name: text for name, text in own.items() if name != "block"}
    if not all(type(text) is str for text in texts.values()):
        _refuse("a member of the anchor is no text")
    if own["ledger"] not in LEDGERS:
        _refuse("the ledger of the anchor is of no known kind")
    for name, grammar in (("channel", _CHANNEL), ("tx_id", _HASH), ("organisation", _ORGANISATION)):
        if not grammar.fullmatch(own[name]):
            _refuse(f"the {name} of the anchor has the wrong form")
    try:
        check_time(own["time"], "time of an anchor")
        anchor = Anchor.from_json({name: value for name, value in members.items() if name not in own})
    except ContractError as error:
        _refuse(error.message)
    return Commitment(anchor, **own)


# --- JSON, one spelling ---------------------------------------------------------------------------------------------


def strict_object(text: bytes | str, limit: int) -> dict[str, Any]:
    """Return the JSON object written in `text`, in the one spelling described above; raise `Invalid` for another."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > limit:
            _refuse(f"it has more than {limit} bytes")
        characters = raw.decode()
        value = _DECODER.decode(characters)
    except UnicodeError:
        raise Invalid("it is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Invalid("it is not JSON, or a number is no plain integer, or a member stands twice") from None
    if type(value) is not dict:
        _refuse("it is no JSON object")
    if not _one_spelling(characters, value):
        _refuse("numbers or escapes are not written in their one form")
    return value


def _one_spelling(text: str, value: object) -> bool:
    try:
        compact = _dumps(value, ensure_ascii=False)
        if text == compact:
            return True
        bare = text.rstrip(" \t\r\n")
        stripped = _without_space(bare)
        if stripped == bare and text not in (bare, f"{bare}\n", f"{bare}\r\n"):
            return False
        return stripped == compact or ("\\u" in stripped and stripped == _dumps(value, ensure_ascii=True))
    except (UnicodeError, RecursionError):
        return False


def _without_space(text: str) -> str:
    """Return JSON text without the white space between its tokens."""
    if "\\" in text:
        return _TOKEN_OR_SPACE.sub(r"\1", text)
    parts = text.split('"')
    parts[::2] = [part.translate(_SPACE) for part in parts[::2]]
    return '"'.join(parts)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _integer(text: str) -> int:
    if len(text) > 16:
        raise ValueError
    return int(text)


def _no_number(_: str) -> NoReturn:
    raise ValueError


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
)
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_COMPACT_ASCII: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _dumps(value: object, *, ensure_ascii: bool) -> str:
    return (_COMPACT_ASCII if ensure_ascii else _COMPACT).encode(value)


# --- entries --------------------------------------------------------------------------------------------------------


def _is_plain(least: int, most: int) -> Callable[[str], bool]:
    grammar = re.compile(rf"[ !#-\[\]-~]{{{least},{most}}}")
    return lambda text: grammar.fullmatch(text) is not None


def _matches(pattern: str) -> Callable[[str], bool]:
    grammar = re.compile(pattern)
    return lambda text: grammar.fullmatch(text) is not None


def _is_time(text: str) -> bool:
    try:
        check_time(text, "time")
    except ContractError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        Address.parse(text)
    except Malformed:
        return False
    return True


def _is_said(text: str) -> bool:
    return 0 < len(text) <= ERASURE_TEXT_CHARACTERS and _CONTROL.search(text) is None


_QUALITY_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_FORMS: Final[Mapping[str, Mapping[str, Callable[[str], bool]]]] = {
    "reading": {
        "source": is_name,
        "point": _matches(r"[a-z2-7]{26}"),
        "component": _is_plain(0, 64),
        "quantity": _is_plain(1, 64),
        "reading_type": _is_plain(1, 160),
        "phase": _is_plain(1, 32),
        "value": is_canonical_value,
        "unit": _is_plain(1, 32),
        "timestamp": _is_time,
        "interval": _matches(r"0|[1-9][0-9]{0,17}"),
        "received_at": _is_time,
    },
    "erasure": {
        "source": is_name,
        "address": _is_address,
        "leaf": _matches(r"[0-9a-f]{64}"),
        "who": _is_said,
        "why": _is_said,
        "received_at": _is_time,
    },
}
_ENTRY_MEMBERS: Final = {
    "reading": frozenset(("type", "quality", *_FORMS["reading"])),
    "erasure": frozenset(("type", *_FORMS["erasure"])),
}


def _entry(members: object) -> Entry:
    if not isinstance(members, dict):
        _refuse("the entry is no JSON object")
    kind = members.get("type")
    if type(kind) is not str or kind not in _FORMS:
        _refuse("the entry is of no known type")
    if members.keys() != _ENTRY_MEMBERS[kind]:
        _refuse(f"an entry of type {kind} has exactly the members {', '.join(sorted(_ENTRY_MEMBERS[kind]))}")
    for name, fits in _FORMS[kind].items():
        text = members[name]
        if type(text) is not str or not fits(text):
            _refuse(f"{name} of the entry has the wrong form")
    if kind == "reading" and not _are_codes(members["quality"]):
        _refuse("quality of the entry is a list of codes, sorted, without repeats")
    return from_json(members)


def _are_codes(codes: object) -> bool:
    return (
        isinstance(codes, list)
        and all(type(code) is str and _QUALITY_CODE.fullmatch(code) for code in codes)
        and all(code < following for code, following in pairwise(codes))
    )


def _address(text: object) -> Address:
    try:
        return Address.parse(text if type(text) is str else "")
    except Malformed:
        raise Invalid("the address is not of the form log:seq:index", subject="certificate") from None


def _refuse(reason: str) -> NoReturn:
    raise Invalid(reason, subject="certificate")
