"""The certification contract: what it does, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaincode.anchor import GENESIS, MAX_SOURCES, Anchor
from chaincode.certification import FUNCTIONS, MAX_ANCHORS_ARGUMENT, MAX_ARGUMENT
from chaincode.chain import MAX_ANCHORS, Head, check_anchor, check_anchors
from chaincode.errors import CODES, ContractError
from chaincode.merkle import Tree, leaf_hash
from chaincode.state import anchor_key
from tests.unit.chaincode.memory import RULES, World, argument, chain, registered

CLIENT = frozenset({"client"})
OTHER = "MarketMSP"
REGULATOR = "RegulatorMSP"


async def test_registration_records_the_owner_and_is_repeatable() -> None:
    world = await registered()
    log = await world.run("RegisterLog", "bal-1")
    assert log == {
        "log": "bal-1",
        "organisation": "DsoMSP",
        "tx_id": "tx-1",
        "time": "2026-01-01T00:00:00.000000Z",
    }
    assert not world.last.writes
    source = await world.run("RegisterSource", "dso-a")
    assert not world.last.writes
    assert source["organisation"] == "DsoMSP"
    assert source["suspended_by"] == {}
    assert source == await world.run("GetSource", "dso-a", organisation=OTHER)
    assert await world.run("GetHead", "bal-1") == {"log": "bal-1", "next": 0, "hash": GENESIS}


async def test_names_belong_to_who_registered_them() -> None:
    world = await registered()
    assert await world.refusal("RegisterLog", "bal-1", organisation=OTHER) == "wrong_organisation"
    assert await world.refusal("RegisterSource", "dso-a", organisation=OTHER) == "wrong_organisation"
    assert await world.refusal("RegisterSource", "dso-a", "00" * 31 + "01") == "exists"
    assert await world.refusal("SetRules", "dso-a", RULES, organisation=OTHER) == "wrong_organisation"
    assert (
        await world.refusal("SuspendSource", "dso-a", "suspend", organisation=OTHER) == "wrong_organisation"
    )
    assert await world.refusal("Anchor", argument(chain(1)), organisation=OTHER) == "wrong_organisation"


async def test_another_organisations_source_is_not_anchored() -> None:
    world = await registered()
    await world.run("RegisterLog", "bal-2", organisation=OTHER)
    foreign = argument(chain(1, log="bal-2"))
    assert await world.refusal("Anchor", foreign, organisation=OTHER) == "wrong_organisation"


@pytest.mark.parametrize(
    "call",
    [
        ("RegisterLog", "bal-9"),
        ("RegisterSource", "dso-9"),
        ("SetRules", "dso-a", RULES),
        ("SuspendSource", "dso-a", "suspend"),
        ("SuspendSource", "dso-a", "resume"),
    ],
    ids=" ".join,
)
async def test_only_admins_register(call: tuple[str, ...]) -> None:
    world = await registered()
    assert await world.refusal(*call, roles=CLIENT) == "not_admin"
    assert await world.refusal(*call, roles=frozenset()) == "not_admin"


async def test_rules_change() -> None:
    world = await registered()
    changed = await world.run("SetRules", "dso-a", "11" * 32)
    assert changed["rules"] == "11" * 32
    assert changed["tx_id"] == world.last.tx_id
    await world.run("SetRules", "dso-a", "11" * 32)
    assert not world.last.writes
    assert await world.refusal("SetRules", "dso-9", RULES) == "unknown_source"
    assert await world.refusal("GetSource", "dso-9") == "unknown_source"


async def test_only_who_suspended_resumes() -> None:
    world = await registered()
    found = await world.run("SuspendSource", "dso-a", "suspend", "meters drift", organisation=REGULATOR)
    assert found["suspended_by"] == {REGULATOR: "meters drift"}
    await world.run("SuspendSource", "dso-a", "resume")
    assert not world.last.writes
    found = await world.run("SuspendSource", "dso-a", "suspend")
    assert sorted(found["suspended_by"]) == ["DsoMSP", REGULATOR]
    found = await world.run("SuspendSource", "dso-a", "resume")
    assert sorted(found["suspended_by"]) == [REGULATOR]
    found = await world.run("SuspendSource", "dso-a", "resume", organisation=REGULATOR)
    assert found["suspended_by"] == {}


async def test_anchors_form_a_chain() -> None:
    world = await registered()
    anchors = chain(MAX_ANCHORS + 3)
    first = await world.run("Anchor", argument(anchors[:1]), roles=CLIENT)
    assert first == [
        anchors[0].to_json()
        | {"tx_id": "tx-3", "time": "2026-01-01T00:00:00.000000Z", "organisation": "DsoMSP", "suspended": []}
    ]
    assert world.last.events[0][0] == "anchored"
    rest = await world.run("Anchor", argument(anchors[1 : MAX_ANCHORS + 1]), roles=CLIENT)
    assert len(rest) == MAX_ANCHORS
    assert world.last.ranges == 0
    head = await world.run("GetHead", "bal-1")
    assert head == {"log": "bal-1", "next": MAX_ANCHORS + 1, "hash": anchors[MAX_ANCHORS].hash}
    assert await world.run("GetAnchor", "bal-1", "5", organisation=OTHER) == rest[4]
    listed = await world.run("ListAnchors", "bal-1", "0", "256")
    assert listed == first + rest
    assert await world.run("ListAnchors", "bal-1", "7", "2") == rest[6:8]
    assert await world.run("ListAnchors", "bal-1", "65", "2") == []


async def test_the_same_again_is_answered_without_a_write() -> None:
    world = await registered()
    anchors = chain(4)
    answer = await world.run("Anchor", argument(anchors[:3]))
    assert await world.run("Anchor", argument(anchors[:3])) == answer
    assert not world.last.writes
    assert not world.last.events
    # Cut otherwise: what stands there is answered, what does not is added.
    overlapping = await world.run("Anchor", argument(anchors[1:]))
    assert overlapping[:2] == answer[1:]
    assert overlapping[2]["tx_id"] == world.last.tx_id
    assert anchor_key("bal-1", 2) not in world.last.writes
    assert (await world.run("GetHead", "bal-1"))["next"] == 4


async def test_forks_gaps_and_wrong_chains_are_refused() -> None:
    world = await registered()
    anchors = chain(4)
    await world.run("Anchor", argument(anchors[:2]))
    assert await world.refusal("Anchor", argument(chain(1, tag="b"))) == "fork"
    assert await world.refusal("Anchor", argument(chain(3, tag="b"))) == "fork"
    assert await world.refusal("Anchor", argument(anchors[3:])) == "wrong_sequence"
    assert await world.refusal("Anchor", argument(chain(1, start=2, previous="ab" * 32))) == "wrong_previous"
    assert await world.refusal("Anchor", argument([anchors[2], anchors[2]])) == "wrong_sequence"
    assert await world.refusal("Anchor", argument([anchors[3], anchors[2]])) == "wrong_sequence"
    broken = [anchors[2], *chain(1, start=3, previous="ab" * 32)]
    assert await world.refusal("Anchor", argument(broken)) == "wrong_previous"
    two_logs = [anchors[2], *chain(1, log="bal-2", start=3, previous=anchors[2].hash)]
    assert await world.refusal("Anchor", argument(two_logs)) == "malformed"


def changed(**changes: Any) -> str:
    return json.dumps([chain(1)[0].to_json() | changes])


async def test_unknown_logs_and_sources_are_refused() -> None:
    world = await registered()
    assert await world.refusal("Anchor", argument(chain(1, log="bal-9"))) == "unknown_log"
    for call in (("GetHead", "bal-9"), ("GetAnchor", "bal-9", "0"), ("ListAnchors", "bal-9", "0", "1")):
        assert await world.refusal(*call) == "unknown_log"
    unknown = changed(counts={"dso-9": 2}, rules={"dso-9": RULES})
    assert await world.refusal("Anchor", unknown) == "unknown_source"
    assert await world.refusal("GetAnchor", "bal-1", "0") == "anchor_unknown"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("{}", "malformed"),
        ("[1]", "malformed"),
        ("[]", "size"),
        (argument(chain(MAX_ANCHORS + 1)), "size"),
        ("[" * 100_000, "malformed"),
        (b"\xff", "malformed"),
        (" " * MAX_ANCHORS_ARGUMENT + "[]", "size"),
        (changed(size=0, counts={}, rules={}), "size"),
        (changed(size=65537, counts={"dso-a": 65537}), "size"),
        (changed(size=3), "size"),
        (changed(size=2.0), "malformed"),
        (changed(root="AB" * 32), "malformed"),
        (changed(previous=""), "malformed"),
        (changed(log="Bal-1"), "malformed"),
        (changed(seq=-1), "malformed"),
        (changed(first="2026-02-30T00:00:00.000000Z"), "malformed"),
        (changed(first="2026-01-01T00:15:00.000001Z"), "malformed"),
        (changed(rules={}), "malformed"),
        (changed(extra=1), "malformed"),
        (changed()[:-2] + ',"seq":0}]', "malformed"),
    ],
)
async def test_malformed_anchors_are_refused(text: str | bytes, code: str) -> None:
    world = await registered()
    assert await world.refusal("Anchor", text) == code


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("Delete", "x"), "unknown_function"),
        (("invoke",), "unknown_function"),
        (("RegisterLog",), "malformed"),
        (("RegisterLog", "a", "b"), "malformed"),
        (("RegisterLog", "A"), "malformed"),
        (("RegisterLog", "a/b"), "malformed"),
        (("RegisterLog", b"\xff"), "malformed"),
        (("RegisterLog", "\ud800"), "malformed"),
        (("RegisterLog", "a" * (MAX_ARGUMENT + 1)), "size"),
        (("RegisterSource", "a", "0"), "malformed"),
        (("RegisterSource", "A"), "malformed"),
        (("SetRules", "dso-a", "0" * 63), "malformed"),
        (("SuspendSource", "dso-a", "delete"), "malformed"),
        (("SuspendSource", "dso-a", "suspend", "two\nlines"), "malformed"),
        (("SuspendSource", "dso-a", "suspend", "x" * 257), "malformed"),
        (("SuspendSource", "dso-9", "suspend"), "unknown_source"),
        (("GetHead", "B"), "malformed"),
        (("GetSource", "B"), "malformed"),
        (("GetAnchor", "bal-1", "00"), "malformed"),
        (("GetAnchor", "bal-1", "-1"), "malformed"),
        (("GetAnchor", "bal-1", "9" * 16), "malformed"),
        (("GetAnchor", "b/", "0"), "malformed"),
        (("ListAnchors", "bal-1", "0", "0"), "size"),
        (("ListAnchors", "bal-1", "0", "257"), "size"),
        (("ListAnchors", "bal-1", "x", "1"), "malformed"),
        *(((name, "", "0"), "size") for name in ("ListLogs", "ListEnds", "ListSources")),
        *(((name, "B", "1"), "malformed") for name in ("ListLogs", "ListEnds", "ListSources")),
        (("ListAllAnchors", "", "0", "0"), "size"),
        (("ListAllAnchors", "bal-1", "0", "257"), "size"),
        (("ListAllAnchors", "bal-1", "x", "1"), "malformed"),
        (("ListAllAnchors", "B", "0", "1"), "malformed"),
        (("VerifyEntry", "bal-1", "0", "0", "x", "[]"), "malformed"),
        (("VerifyEntry", "bal-1", "0", "0", "00" * 32, "{}"), "malformed"),
        (("VerifyEntry", "bal-1", "0", "0", "00" * 32, '["00"]'), "malformed"),
        (("VerifyEntry", "bal-1", "0", "0", "00" * 32, "[]"), "anchor_unknown"),
        (("VerifyEntry", "bal-1", "0", "0", "00" * 32, str(["00" * 32] * 17).replace("'", '"')), "malformed"),
    ],
)
async def test_malformed_calls_are_refused(call: tuple[str, ...], code: str) -> None:
    world = await registered()
    assert await world.refusal(*call) == code
    assert code in CODES


async def test_a_source_suspended_between_seal_and_anchor_is_marked_and_the_log_goes_on() -> None:
    world = await registered()
    await world.run("RegisterSource", "dso-b")
    sealed = chain(3)
    check_anchors(sealed, Head("bal-1"))
    assert (await world.run("Anchor", argument(sealed[:1])))[0]["suspended"] == []
    await world.run("SuspendSource", "dso-a", "suspend", organisation=REGULATOR)
    await world.run("SuspendSource", "dso-b", "suspend", organisation=REGULATOR)
    assert (await world.run("Anchor", argument(sealed[1:2])))[0]["suspended"] == ["dso-a"]
    await world.run("SuspendSource", "dso-a", "resume", organisation=REGULATOR)
    assert (await world.run("Anchor", argument(sealed[2:])))[0]["suspended"] == []
    # What was said of an anchor at its time stays.
    assert [record["suspended"] for record in await world.run("ListAnchors", "bal-1", "0", "9")] == [
        [],
        ["dso-a"],
        [],
    ]


async def test_entries_verify_against_their_anchor() -> None:
    world = await registered()
    leaves = [leaf_hash(bytes([number])) for number in range(5)]
    tree = Tree(leaves)
    await world.run("Anchor", changed(root=tree.root.hex(), size=5, counts={"dso-a": 5}))

    async def valid(index: int, leaf: bytes, path: list[bytes]) -> bool:
        text = json.dumps([node.hex() for node in path])
        answer = await world.run("VerifyEntry", "bal-1", "0", str(index), leaf.hex(), text)
        assert not world.last.writes
        return bool(answer["valid"])

    for index, leaf in enumerate(leaves):
        assert await valid(index, leaf, tree.path(index))
        assert not await valid(index, leaves[index - 1], tree.path(index))
        assert not await valid((index + 1) % 5, leaf, tree.path(index))
        assert not await valid(index, leaf, [*tree.path(index), leaf])
    assert not await valid(5, leaves[4], tree.path(4))


async def test_logs_are_listed_by_name() -> None:
    world = World()
    names = ["a", "a-", "a-1", "a0", "aa", "b", "log"]
    for name in reversed(names):
        await world.run("RegisterLog", name)
        await world.run("RegisterSource", name)
    for function, member in (("ListLogs", "log"), ("ListEnds", "log"), ("ListSources", "source")):
        assert [each[member] for each in await world.run(function, "", "256")] == names
        for place, name in enumerate(names):
            page = await world.run(function, name, "2")
            assert [each[member] for each in page] == names[place + 1 : place + 3]
    assert await world.run("ListEnds", "", "1") == [await world.run("GetHead", "a")]
    assert await world.run("ListSources", "b", "1") == [await world.run("GetSource", "log")]


async def test_ends_are_heads_with_the_first_and_the_newest_anchor() -> None:
    world = await registered()
    head = await world.run("GetHead", "bal-1")
    assert await world.run("ListEnds", "", "9") == [head]
    records = await world.run("Anchor", argument(chain(3)))
    head = await world.run("GetHead", "bal-1")
    assert await world.run("ListEnds", "", "9") == [{**head, "first": records[0], "last": records[2]}]
    del world.state[anchor_key("bal-1", 2)]
    assert await world.run("ListEnds", "", "9") == [{**head, "first": records[0]}]


async def test_all_anchors_come_log_by_log_from_any_of_them_on() -> None:
    world = World()
    await world.run("RegisterSource", "dso-a")
    stand: list[tuple[str, int]] = []
    for log in ("b", "a", "a-b"):
        await world.run("RegisterLog", log)
        await world.run("Anchor", argument(chain(3, log=log)))
    assert await world.run("ListAllAnchors", "", "0", "1") == [await world.run("GetAnchor", "a-b", "0")]
    place: tuple[str, int] = ("", 0)
    while page := await world.run("ListAllAnchors", place[0], str(place[1]), "2"):
        assert len(page) <= 2
        stand += [(each["log"], each["seq"]) for each in page]
        place = (page[-1]["log"], page[-1]["seq"] + 1)
    assert stand == [(log, seq) for log in ("a-b", "a", "b") for seq in range(3)]


def test_the_largest_submission_fits_its_limit() -> None:
    names = [f"{number:048d}" for number in range(MAX_SOURCES)]
    largest = Anchor(
        log="l" * 48,
        seq=2**53 - 1,
        root="ab" * 32,
        size=65536,
        previous="ab" * 32,
        first="2026-01-01T00:00:00.000000Z",
        last="2026-01-01T00:00:00.000000Z",
        counts=dict.fromkeys(names, 256),
        rules=dict.fromkeys(names, "ab" * 32),
    )
    largest.check()
    assert len(json.dumps([largest.to_json()] * MAX_ANCHORS)) <= MAX_ANCHORS_ARGUMENT


def test_the_pipeline_runs_the_same_checks() -> None:
    anchors = chain(3)
    head = check_anchor(anchors[0], Head("bal-1"))
    assert head == Head("bal-1", 1, anchors[0].hash)
    assert check_anchors(anchors[1:], head) == Head("bal-1", 3, anchors[2].hash)
    for wrong, at, code in (
        (anchors[1:2], Head("bal-1"), "wrong_sequence"),
        (anchors[1:], Head("bal-1", 1, "ab" * 32), "wrong_previous"),
        (anchors[:1], Head("bal-2"), "malformed"),
        ([], Head("bal-1"), "size"),
    ):
        with pytest.raises(ContractError) as refused:
            check_anchors(wrong, at)
        assert refused.value.code == code
    with pytest.raises(ContractError):
        check_anchor(anchors[1], Head("bal-1"))


def test_every_described_function_is_tested_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f'"{name}"' not in text] == []


def test_errors_survive_the_way_over_the_ledger() -> None:
    error = ContractError("fork", "another anchor stands there")
    assert ContractError.from_json(json.loads(json.dumps(error.to_json()))).to_json() == error.to_json()
    assert str(error) == "fork: another anchor stands there"
    for wrong in (
        None,
        {},
        {"code": "fork"},
        {"code": "nonsense", "message": "x"},
        {"code": "fork", "message": 1},
    ):
        with pytest.raises(ContractError, match="malformed"):
            ContractError.from_json(wrong)
