"""What goes back to a peer is the same bytes from every process: answers, write sets, events, errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bal.stack.fabric.authority import Authority
from chaincode.anchor import Anchor
from chaincode.chain import Head
from chaincode_service.contract import Certification
from tests.counts import counts
from tests.unit.chaincode.memory import RULES, argument

ROOT = Path(__file__).parents[3]
SOURCES = [f"s{index}" for index in range(20)]
Call = tuple[str, tuple[str | bytes, ...]]


@dataclass
class Ledger:
    """One transaction on a state in a dictionary."""

    tx_id: str
    creator: dict[str, Any]
    arguments: list[bytes]
    state: dict[str, bytes]
    writes: list[tuple[str, bytes]] = field(default_factory=list)
    events: list[tuple[str, bytes]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    @property
    def tx_timestamp(self) -> SimpleNamespace:
        return SimpleNamespace(seconds=1_767_225_600 + len(self.tx_id), nanos=999_999_999)

    @property
    def cc_input(self) -> SimpleNamespace:
        return SimpleNamespace(args=self.arguments)

    async def get_state(self, key: str) -> bytes:
        self.reads.append(key)
        return self.state.get(key, b"")

    async def put_state(self, key: str, value: bytes) -> None:
        self.writes.append((key, value))

    async def range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        for key in sorted(key for key in self.state if start <= key < end)[:limit]:
            yield key, self.state[key]

    def set_event(self, name: str, payload: bytes) -> None:
        self.events.append((name, payload))


def anchors(head: Head, step: int) -> tuple[list[Anchor], Head]:
    """Return one to three anchors, their members in another order in every process, and the head after them."""
    made = []
    for place in range(1 + step % 3):
        # A set's order hangs on the hash seed.
        names = set(SOURCES[step % 7 : 20 - step % 5])
        anchor = Anchor(
            log=head.log,
            seq=head.next,
            root=sha256(f"{step}/{place}".encode()).hexdigest(),
            size=len(names),
            previous=head.hash,
            first="2026-01-01T00:00:00.000000Z",
            last="2026-01-01T00:00:00.000000Z",
            counts=dict.fromkeys(names, 1),
            rules=dict.fromkeys(names, RULES),
        )
        made.append(anchor)
        head = head.after(anchor)
    return made, head


def calls(number: int) -> Iterator[Call]:
    """Yield who calls what: registrations, anchors, changes, queries, refusals, garbage."""
    heads = {f"log-{index}": Head(f"log-{index}") for index in range(4)}
    yield from (("dso-admin", ("RegisterLog", log)) for log in heads)
    yield from (("dso-admin", ("RegisterSource", source)) for source in SOURCES)
    for step in range(number - len(heads) - len(SOURCES)):
        log = f"log-{step % 4}"
        source = SOURCES[step % 20]
        made, after = anchors(heads[log], step)
        kind = step % 13
        if kind < 5:
            heads[log] = after
            yield "dso-client", ("Anchor", argument(made))
            continue
        yield (
            (
                "regulator-admin",
                ("SuspendSource", source, "resume" if step % 2 else "suspend", "a \u2028 reason"),
            ),
            (
                "regulator-admin",
                ("SuspendSource", source, "suspend" if step % 3 else "resume", "maintenance"),
            ),
            ("dso-admin", ("SetRules", source, sha256(bytes([step % 5])).hexdigest())),
            (
                "dso-client",
                ("ListAnchors", log, "0", "40") if step % 2 else ("ListAllAnchors", log, "0", "99"),
            ),
            ("dso-client", (("ListLogs", "ListEnds", "ListSources")[step % 3], "", "256")),
            ("dso-client", ("GetSource", source)),
            ("regulator-client", ("Anchor", argument(made))),
            ("dso-client", (f"\xe9{step}".encode(), b"\xff")),
        )[kind - 5]


async def transactions(number: int, identities: Path) -> None:
    """Run the transactions and print a digest of all that a peer would get, and what kinds there were."""
    seen = sha256()
    kinds: Counter[int] = Counter()
    state: dict[str, bytes] = {}
    contract = Certification()
    for count, (who, arguments) in enumerate(calls(number)):
        organisation = "RegulatorMSP" if who.startswith("regulator") else "DsoMSP"
        creator = {"mspid": organisation, "idBytes": (identities / who).read_bytes()}
        raw = [each.encode() if isinstance(each, str) else each for each in arguments]
        ledger = Ledger(f"tx-{count}", creator, raw, state)
        answer = await contract.invoke(ledger)
        kinds[answer.status] += 1
        if answer.status == 200:
            state.update(ledger.writes)
        seen.update(answer.SerializeToString(deterministic=True))
        seen.update(repr((ledger.reads, ledger.writes, ledger.events)).encode())
    print(seen.hexdigest(), sum(kinds.values()), sorted(kinds.items()), len(state))


def test_two_processes_with_other_hash_seeds_answer_a_peer_with_the_same_bytes(
    organisation: Authority, tmp_path: Path
) -> None:
    for who in ("dso-admin", "dso-client", "regulator-admin", "regulator-client"):
        certificate, _ = organisation.guest("bal-1", who.partition("-")[2])
        (tmp_path / who).write_bytes(certificate.read_bytes())
    number = counts(10_000)
    answers = {
        subprocess.run(
            [sys.executable, __file__, str(number), str(tmp_path)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert len(answers) == 1
    said = answers.pop()
    assert f" {number} " in said
    assert "(200, " in said
    assert "(400, " in said
    assert "(500, " not in said


if __name__ == "__main__":
    asyncio.run(transactions(int(sys.argv[1]), Path(sys.argv[2])))
