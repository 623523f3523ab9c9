"""The verifier of the page, standard library only, on real certificates."""

import ast
import json
import sys
from collections.abc import Callable
from hashlib import sha256
from types import ModuleType
from typing import Any, get_args

import pytest

from bal.core.address import Address
from bal.core.batch import SealedBatch, seal
from bal.core.certified import certificate_text
from bal.core.commitment import Commitment
from bal.core.entry import expand_salts, leaves
from bal.core.reading import Reading
from bal.verify.report import Kind
from chaincode.anchor import GENESIS
from tests.unit.docs.pages import blocks, code, page, rows, section

PAGE = "docs/verify.md"
SIZES = (1, 2, 3, 7, 8, 300)


@pytest.fixture(scope="module")
def check() -> Callable[..., None]:
    (source,) = [block.text for block in blocks(PAGE) if block.options.get("file") == "check.py"]
    module = ModuleType("check")
    exec(compile(source, "check.py", "exec"), module.__dict__)  # the reader's own step
    found: Callable[..., None] = module.__dict__["check"]
    return found


def reading(number: int) -> Reading:
    time = 1_568_376_000_000_000 + number * 900_000_000
    kind = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
    return Reading(
        "dso-a",
        "ke3tqnc4j2hf7yd5w6zxr2maxa",
        "",
        "activeEnergy",
        kind,
        "none",
        str(number),
        "Wh",
        time,
        900,
        "",
        time,
    )


@pytest.fixture(scope="module")
def log() -> list[SealedBatch]:
    batches: list[SealedBatch] = []
    for seq, size in enumerate(SIZES):
        entries, salts = [reading(number) for number in range(size)], expand_salts(bytes([seq]) * 32, size)
        batches.append(
            seal(
                log="bal-1",
                seq=seq,
                previous=batches[-1].anchor.hash if batches else GENESIS,
                entries=entries,
                salts=salts,
                leaves=leaves(entries, salts),
                rules={"dso-a": "0" * 64},
                receipts=[],
                sealed_at=0,
            )
        )
    return batches


def commitment(batch: SealedBatch) -> Commitment:
    time = "2026-01-31T12:00:00.000000Z"
    return Commitment(batch.anchor, "embedded", "certification", "ab" * 32, batch.seq, time, "EmbeddedMSP")


def certificate(batch: SealedBatch, index: int) -> dict[str, Any]:
    path = [node.hex() for node in batch.tree.path(index)]
    address = Address("bal-1", batch.seq, index)
    text = certificate_text(address, batch.entries[index], batch.salts[index], path, commitment(batch))
    found: dict[str, Any] = json.loads(text)
    return found


def anchors(log: list[SealedBatch]) -> list[dict[str, Any]]:
    return [commitment(batch).to_json() for batch in log]


def test_it_uses_the_standard_library_only() -> None:
    (source,) = [block.text for block in blocks(PAGE) if block.options.get("file") == "check.py"]
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert imported <= sys.stdlib_module_names
    assert len([line for line in source.splitlines() if line.strip()]) <= 50


def test_every_certificate_of_a_log_passes(check: Callable[..., None], log: list[SealedBatch]) -> None:
    head = log[-1].anchor.hash
    for batch in log:
        for index in {0, batch.size // 2, batch.size - 1}:
            check(certificate(batch, index), anchors(log), head)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["entry"].update(value="7"),
        lambda c: c["entry"].update(extra="7"),
        lambda c: c.update(address="bal-1:4:3"),
        lambda c: c.update(address="bal-1:3:2"),
        lambda c: c.update(tree_size=9),
        lambda c: c.update(salt="00" * 16),
        lambda c: c.update(path=[*c["path"], "00" * 32]),
        lambda c: c.update(path=c["path"][:-1]),
        lambda c: c["anchor"].update(tx_id="cd" * 32),
        lambda c: c["anchor"].update(size=9),
        lambda c: c.update(more=1),
        lambda c: c.pop("salt"),
        lambda c: c.update(version=2),
    ],
    ids=[
        "value",
        "member",
        "seq",
        "index",
        "tree-size",
        "salt",
        "long",
        "short",
        "tx",
        "size",
        "unknown",
        "missing",
        "version",
    ],
)
def test_a_changed_certificate_does_not(
    check: Callable[..., None], log: list[SealedBatch], change: Callable[[dict[str, Any]], None]
) -> None:
    shown = certificate(log[4], 2)
    check(shown, anchors(log), log[-1].anchor.hash)
    change(shown)
    with pytest.raises((AssertionError, KeyError)):
        check(shown, anchors(log), log[-1].anchor.hash)


def test_another_head_or_a_broken_chain_is_found(check: Callable[..., None], log: list[SealedBatch]) -> None:
    shown, chain, head = certificate(log[4], 2), anchors(log), log[-1].anchor.hash
    with pytest.raises(AssertionError, match="trusted head"):
        check(shown, chain, sha256(b"").hexdigest())
    with pytest.raises(AssertionError, match="trusted head"):
        check(shown, chain[:-1], head)
    with pytest.raises(AssertionError):
        check(shown, [chain[0], *chain[2:]], head)
    chain[1] = {**chain[1], "root": "00" * 32}
    with pytest.raises(AssertionError, match="chain is broken"):
        check(shown, chain, head)


def test_every_kind_of_finding_is_listed() -> None:
    assert [code(cells[0]) for cells in rows(section(page(PAGE), "## An audit"))] == list(get_args(Kind))
