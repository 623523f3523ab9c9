"""Forged certificates: no changed byte, no other spelling, no changed place passes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.certificate import CERTIFICATE_BYTES, parse
from bal.core.commitment import Commitment
from bal.core.entry import canonical, from_json
from bal.core.errors import Invalid
from chaincode.merkle import Tree, leaf_hash
from tests.counts import counts
from tests.unit.verify.proofs import Proof, certified, proof

COMPACT = (",", ":")
KINDS = {"reading": (11, 5), "alone": (2, 0), "erasure": (7, 6), "last": (300, 298)}


def verifies(text: str | bytes, trusted: Commitment) -> bool:
    try:
        parse(text).check(trusted)
    except Invalid:
        return False
    return True


def replacements(byte: int, chance: random.Random) -> set[int]:
    """Return other bytes: case flips, neighbours, white space, punctuation, some by chance."""
    made = {
        byte ^ 0x20,
        byte ^ 1,
        (byte + 1) % 256,
        (byte - 1) % 256,
        *b' \t\n\r"\\/0.e-+,:{}[]u\x00\x7f\xc3\xff',
    }
    return (made | {chance.randrange(256) for _ in range(4)}) - {byte}


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [*((kind, "as written") for kind in KINDS), ("erasure", "ascii"), ("alone", "line end")],
)
def test_no_changed_byte_passes(kind: str, spelling: str) -> None:
    chance = random.Random(kind + spelling)
    for seed in range(counts(20)):
        text, trusted = proof(*KINDS[kind], seed)
        if spelling == "ascii":
            text = json.dumps(json.loads(text), separators=COMPACT)
        elif spelling == "line end":
            text += "\r\n" if seed % 2 else "\n"
        raw = text.encode()
        assert verifies(raw, trusted)
        for place, byte in enumerate(raw):
            for other in replacements(byte, chance):
                changed = raw[:place] + bytes([other]) + raw[place + 1 :]
                assert not verifies(changed, trusted), (place, chr(other), changed[place - 20 : place + 20])


@pytest.mark.parametrize("kind", ["alone", "erasure"])
def test_no_missing_or_added_byte_passes(kind: str) -> None:
    """White space between tokens is the one thing that may be added."""
    text, trusted = proof(*KINDS[kind])
    raw = text.encode()
    for place in range(len(raw)):
        assert not verifies(raw[:place] + raw[place + 1 :], trusted)
        assert not verifies(raw[:place] + raw[place : place + 1] + raw[place:], trusted)
        for byte in b'0aA"\\,}-.':
            assert not verifies(raw[:place] + bytes([byte]) + raw[place:], trusted), (place, chr(byte))


def test_a_changed_byte_of_a_pretty_certificate_passes_only_as_white_space() -> None:
    text, trusted = proof(3, 1)
    raw = json.dumps(json.loads(text), indent=2, ensure_ascii=False).encode()
    for place, byte in enumerate(raw):
        for other in {byte ^ 0x20, byte ^ 1, *b" \n"} - {byte}:
            changed = raw[:place] + bytes([other]) + raw[place + 1 :]
            assert verifies(changed, trusted) == (
                byte in b" \t\r\n" and other in b" \t\r\n" and outside(raw, place)
            )


def outside(raw: bytes, place: int) -> bool:
    return raw[:place].count(b'"') % 2 == 0


TOOLS: dict[str, Callable[[object], str]] = {
    "default": json.dumps,
    "indented": lambda value: json.dumps(value, indent=2),
    "tabs": lambda value: json.dumps(value, indent="\t", ensure_ascii=False) + "\n",
    "sorted": lambda value: json.dumps(value, sort_keys=True, separators=COMPACT),
    "sorted and indented": lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False, indent=4),
    "framed": lambda value: "\r\n" + json.dumps(value, ensure_ascii=False) + " \n\n",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tool", TOOLS)
def test_what_json_tools_make_of_a_certificate_passes(kind: str, tool: str) -> None:
    text, trusted = proof(*KINDS[kind])
    written = TOOLS[tool](json.loads(text))
    assert verifies(written, trusted)
    assert verifies(written.encode(), trusted)


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ('"version":1,"address"', '"version":1.0,"address"'),
        ('"version":1,"address"', '"version":1e0,"address"'),
        ('"version":1,"address"', '"version":01,"address"'),
        ('"version":1,"address"', '"version":true,"address"'),
        ('"version":1,"address"', '"version":"1","address"'),
        ('"version":1,"address"', '"version":2,"address"'),
        ('"version":1,"address"', '"version":1,"version":1,"address"'),
        ('"type":"reading"', '"type":"re\\u0061ding"'),
        ('"type":"reading"', '"t\\u0079pe":"reading"'),
        ('"type":"reading"', '"type":"reading","type":"reading"'),
        ('"type":"reading"', '"type":"Reading"'),
        ('"type":"reading"', '"type":["reading"]'),
        ('"interval":"900"', '"interval":900'),
        ('"interval":"900"', '"interval":"0900"'),
        ('"interval":"900"', '"interval":"-900"'),
        ('"interval":"900"', '"interval":"9e2"'),
        ('"value":"5.5"', '"value":5.5'),
        ('"value":"5.5"', '"value":"5.50"'),
        ('"value":"5.5"', '"value":"+5.5"'),
        ('"value":"5.5"', '"value":"05.5"'),
        ('"value":"5.5"', '"value":"55e-1"'),
        ('"value":"5.5"', '"value":null'),
        ('"value":"5.5"', '"value":NaN'),
        ('"tree_size":11', '"tree_size":11.0'),
        ('"tree_size":11', '"tree_size":-0'),
        ('"tree_size":11', '"tree_size":1' + "0" * 5000),
        ('"quality":[', '"quality":["x",'),
        ('"quality":[', '"quality":[[],'),
        (":1:5", ":01:5"),
        (":1:5", ":1:\u0665"),
        (":1:5", ":1:5 "),
        ('{"version"', '\ufeff{"version"'),
        ('{"version"', '//\n{"version"'),
        ('{"version"', '{"more":0,"version"'),
        ('{"version"', '[{"version"'),
        ('"block":12', '"block":12,"suspended":[]'),
        ('"block":12', '"block":"12"'),
        ('"block":12', '"block":-12'),
        ('"ledger":"embedded"', '"ledger":"paper"'),
        ('"channel":"certification"', '"channel":"\\ud800"'),
    ],
)
def test_no_other_spelling_of_the_same_passes(plain: str, other: str) -> None:
    text, trusted = proof()
    assert plain in text
    assert verifies(text, trusted)
    assert not verifies(text.replace(plain, other), trusted)


def members(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Return every member of every object in `value`."""
    found = []
    if isinstance(value, dict):
        for name in value:
            found += [(value, name), *members(value[name])]
    return found


CHANGES: tuple[Callable[[dict[str, Any], str], object], ...] = (
    lambda holder, name: holder.pop(name),
    lambda holder, name: holder.update({name: None}),
    lambda holder, name: holder.update({name: {}}),
    lambda holder, name: holder.update({name: [holder[name]]}),
    lambda holder, name: holder.update({name: str(holder[name]) + "0"}),
    lambda holder, name: holder.update({name + "x": 0}),
    lambda holder, name: holder.update({name: True}),
)


@pytest.mark.parametrize("count", [11, 2])
def test_every_member_must_be_there_and_counts(count: int) -> None:
    text, trusted = proof(count, count - 2)
    for number in range(len(members(json.loads(text)))):
        for change in CHANGES:
            value = json.loads(text)
            holder, name = members(value)[number]
            change(holder, name)
            if value != json.loads(text):
                assert not verifies(json.dumps(value, separators=COMPACT), trusted), name


def moved(made: Proof, address: str, tree_size: int, path: list[str] | None = None) -> str:
    value = json.loads(made.text)
    value |= {"address": address, "tree_size": tree_size}
    value["path"] = value["path"] if path is None else path
    return json.dumps(value, separators=COMPACT)


def test_another_index_or_size_whose_path_still_fits_fails() -> None:
    """A path says on which side each hash goes only through index and size: several pairs take the same path."""
    made = proof(11, 5)
    for size in range(1, 40):
        for index in range(size):
            if (index, size) != (5, 11):
                assert not verifies(moved(made, f"bal-1:1:{index}", size), made.trusted), (index, size)
    edge = proof(4, 3)  # leaf 3 of 4: the same hashes on the same sides as leaf 5 of 6 or 7 of 8
    for index, size in ((5, 6), (7, 8), (2, 3), (3, 5)):
        assert not verifies(moved(edge, f"bal-1:1:{index}", size), edge.trusted)
    for address in ("bal-1:0:5", "bal-2:1:5", "bal-1:2:5", "bal-1:1:11", "bal-1:1:65535"):
        assert not verifies(moved(made, address, 11), made.trusted)


def test_an_anchor_of_another_size_with_the_same_root_is_not_the_trusted_one() -> None:
    made = proof(4, 3)
    value = json.loads(moved(made, "bal-1:1:5", 6))
    value["anchor"]["size"] = 6
    value["anchor"]["counts"]["dso-a"] = 6
    with pytest.raises(Invalid, match="not the trusted one: size, counts"):
        parse(json.dumps(value)).check(made.trusted)


def test_a_node_of_the_tree_cannot_be_passed_off_as_a_leaf() -> None:
    """Inner nodes begin with 0x01, leaves with 0x00; a longer or shorter path is refused before anything is hashed."""
    made = proof(8, 2)
    path = json.loads(made.text)["path"]
    for other in (path[1:], path[:-1], [*path, "00" * 32], [], path * 6):
        with pytest.raises(Invalid, match="path has another length"):
            parse(moved(made, "bal-1:1:2", 8, other)).check(made.trusted)


def test_an_empty_or_foreign_tree_proves_nothing() -> None:
    made = proof()
    value = json.loads(made.text)
    salted = bytes.fromhex(value["salt"]) + canonical(from_json(value["entry"]))
    tree = Tree([leaf_hash(salted), leaf_hash(b"")])
    value["path"] = [node.hex() for node in tree.path(0)]
    value["tree_size"] = value["anchor"]["size"] = 2
    value["anchor"]["counts"]["dso-a"] = 2
    value["anchor"]["root"] = tree.root.hex()
    value["address"] = "bal-1:1:0"
    text = json.dumps(value)
    assert verifies(text, parse(text).anchor)  # it agrees with itself
    assert not verifies(text, made.trusted)


@pytest.mark.parametrize(
    "bomb",
    [
        "",
        "{",
        "{}",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        '{"a":' * 50_000,
        "{" + '"\\u0000":0,' * 10,
        "1" * 100_000,
        '{"version":' + "9" * 10_000 + "}",
        " " * (CERTIFICATE_BYTES + 1),
        '"' + "\\" * 100_001,
        b"\xff\xfe{\x00}\x00",
        b"\xc0\x80",
        b"\x00",
        "\ud800",
    ],
)
def test_what_is_no_certificate_is_refused(bomb: str | bytes) -> None:
    with pytest.raises(Invalid):
        parse(bomb)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_noise_is_refused(noise: bytes | str) -> None:
    with pytest.raises(Invalid):
        parse(noise)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(data=st.data(), index=st.integers(0, 10), value=_JSON)
def test_no_member_replaced_by_any_json_passes(data: st.DataObject, index: int, value: Any) -> None:
    made = certified(11)
    document = json.loads(made.certificate(index))
    places = members(document)
    holder, name = places[data.draw(st.integers(0, len(places) - 1))]
    before, holder[name] = holder[name], value
    if type(value) is not type(before) or value != before:
        assert not verifies(json.dumps(document), made.commitment)


@given(st.integers(1, 70), st.data())
def test_every_certificate_of_a_batch_passes_at_its_place_only(count: int, data: st.DataObject) -> None:
    made = certified(count + 1)
    index = data.draw(st.integers(0, count))
    other = data.draw(st.integers(0, count))
    text = made.certificate(index)
    certificate = parse(text)
    certificate.check(made.commitment)
    assert certificate.entry == made.entries[index]
    assert certificate.leaf == made.leaves[index]
    if other != index:
        assert not verifies(text.replace(f'"bal-1:1:{index}"', f'"bal-1:1:{other}"'), made.commitment)
