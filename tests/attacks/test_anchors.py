"""A file of anchors is trusted only as one unbroken chain, and only up to the head the auditor trusts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bal.core.commitment import Commitment
from bal.core.errors import Invalid, NothingToTrust
from bal.verify.anchors import AnchorFile
from bal.verify.heads import Head
from bal.verify.verifier import verify
from tests.unit.anchor.embedded.home import chain
from tests.unit.store.rows import committed
from tests.unit.verify.proofs import certified


def lines(count: int, **members: Any) -> list[dict[str, Any]]:
    return [committed(anchor, 3 + anchor.seq).to_json() for anchor in chain(count, **members)]


def write(path: Path, exported: Sequence[dict[str, Any] | str]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, separators=(",", ":")) for line in exported]
    file = path / "anchors.jsonl"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file


def test_a_chain_is_found_by_place(tmp_path: Path) -> None:
    mixed = [line for pair in zip(lines(5), lines(5, log="bal-2"), strict=True) for line in pair]
    with AnchorFile(write(tmp_path, mixed)) as anchors:
        for line in mixed:
            found = anchors.find(line["log"], line["seq"])
            assert found is not None
            assert found.to_json() == line
        for log, seq in (("bal-1", 5), ("bal-1", -1), ("bal-3", 0)):
            assert anchors.find(log, seq) is None
        assert anchors.heads == {log: Head(4, chain(5, log)[4].hash) for log in ("bal-1", "bal-2")}


def altered(place: int, **members: Any) -> list[dict[str, Any] | str]:
    exported: list[dict[str, Any] | str] = [*lines(5)]
    exported[place] = {**lines(5)[place], **members}
    return exported


FAULTS: dict[str, tuple[Sequence[dict[str, Any] | str], str]] = {
    "gap": ([*lines(5)[:2], *lines(5)[3:]], "line 3: seq 2 of the log was expected, not 3"),
    "begins late": (lines(5)[1:], "line 1: seq 0"),
    "repetition": ([*lines(3), lines(3)[2]], "line 4: seq 3"),
    "backwards": (lines(5)[::-1], "line 1: seq 0"),
    "fork": ([*lines(3), lines(4, tag="b")[3]], "line 4: its previous"),
    "changed root": (altered(2, root="ab" * 32), "line 4: its previous"),
    "changed counts": (altered(2, size=3, counts={"dso-a": 3}), "line 4: its previous"),
    "other channel": (altered(2, channel="other"), "line 3: it is of another ledger or channel"),
    "other ledger": (altered(2, ledger="fabric"), "line 3: it is of another ledger or channel"),
    "member missing": (altered(2, block=None), "line 3: the block"),
    "member added": (altered(2, hash="ab" * 32), "line 3: an anchor has exactly"),
    "no JSON": ([*lines(2), "anchors"], "line 3: it is not JSON"),
    "empty line": ([*lines(2), "", *lines(3)[2:]], "line 3: it is not JSON"),
    "header": (["# anchors", *lines(2)], "line 1: it is not JSON"),
    "doubled member": ([json.dumps(lines(1)[0])[:-1] + ', "block": 3}'], "line 1: it is not JSON"),
    "endless line": ([" " * 300_000], "line 1: it has more than"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_chain_is_refused_and_its_line_named(tmp_path: Path, fault: str) -> None:
    exported, reason = FAULTS[fault]
    with pytest.raises(Invalid, match=reason):
        AnchorFile(write(tmp_path, exported))


def test_nothing_to_trust(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, write(tmp_path, [])):
        with pytest.raises(NothingToTrust):
            AnchorFile(path)


def test_a_head_ends_what_is_trusted(tmp_path: Path) -> None:
    exported = write(tmp_path, [*lines(5), *lines(2, log="bal-2")])
    with AnchorFile(exported, {"bal-1": chain(5)[2].hash}) as anchors:
        assert [anchors.find("bal-1", seq) is not None for seq in range(5)] == [
            True,
            True,
            True,
            False,
            False,
        ]
        assert anchors.find("bal-2", 0) is None
        assert set(anchors.heads) == {"bal-1"}


@pytest.mark.parametrize("head", ["ab" * 32, "", chain(5, tag="b")[4].hash, chain(5, log="bal-2")[1].hash])
def test_a_head_that_is_not_in_the_chain_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(Invalid, match="trusted head is not among"):
        AnchorFile(write(tmp_path, [*lines(5), *lines(2, log="bal-2")]), {"bal-1": head})


def test_a_head_of_a_log_without_anchors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="bal-9: the trusted head"):
        AnchorFile(write(tmp_path, lines(5)), {"bal-9": "ab" * 32})


def test_a_file_changed_while_in_use_gives_no_wrong_anchor(tmp_path: Path) -> None:
    path = write(tmp_path, lines(5))
    with AnchorFile(path) as anchors:
        write(tmp_path, lines(5)[::-1])
        with pytest.raises(Invalid):
            anchors.find("bal-1", 0)


def test_certificates_are_held_against_the_file(tmp_path: Path) -> None:
    made = certified(9)
    anchor = made.commitment.anchor
    others = chain(1)[0]
    linked = Commitment(
        anchor=type(anchor)(**{**anchor.to_json(), "previous": others.hash}),  # type: ignore[arg-type]
        ledger="embedded",
        channel="certification",
        tx_id="ab" * 32,
        block=9,
        time="2026-12-31T00:00:00.000000Z",
        organisation="DsoMSP",
    )
    text = json.loads(made.certificate(4)) | {"anchor": linked.to_json()}
    with AnchorFile(write(tmp_path, [committed(others).to_json(), linked.to_json()])) as anchors:
        assert verify(json.dumps(text), anchors) == (True, "")
        assert verify(made.certificate(4), anchors).reason.startswith("the anchor is not the trusted one")
        assert verify(json.dumps(text | {"address": "bal-1:7:4"}), anchors).reason == (
            "its anchor is not among the trusted ones"
        )
        assert verify("{}", anchors).valid is False
        assert verify(b"\xff", anchors).to_json() == {"valid": False, "reason": "it is not UTF-8"}
    with AnchorFile(tmp_path / "anchors.jsonl", {"bal-1": others.hash}) as anchors:
        assert verify(json.dumps(text), anchors).valid is False
