"""Every peer must write the same bytes: no hash order, no clock, nothing beyond the standard library."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from chaincode.anchor import Anchor
from chaincode.chain import Head
from chaincode.state import anchor_key
from tests.counts import counts
from tests.unit.chaincode.memory import RULES, argument, chain, registered

REGULATOR = "RegulatorMSP"
ROOT = Path(__file__).parents[3]


async def transactions(number: int) -> None:
    """Run a fixed mix of transactions and print a digest of every answer, write and refusal."""
    world = await registered()
    seen = sha256()
    sources = [f"s{index}" for index in range(20)]
    for source in sources:
        await world.run("RegisterSource", source)
    head = Head("bal-1")
    for step in range(number):
        if step % 10 == 9:
            action = ("SuspendSource", sources[step // 10 % 20], "suspend" if step % 20 < 10 else "resume")
            await world.run(*action, organisation=REGULATOR)
        elif step % 10 == 8:
            seen.update((await world.refusal("Anchor", argument(chain(1, tag="f")))).encode())
            continue
        else:
            names = sources[step % 7 : 20 - step % 5]
            anchor = Anchor(
                log="bal-1",
                seq=head.next,
                root=sha256(str(step).encode()).hexdigest(),
                size=len(names),
                previous=head.hash,
                first="2026-01-01T00:00:00.000000Z",
                last="2026-01-01T00:00:00.000000Z",
                # Members in another order in every process: a set's order hangs on the hash seed.
                counts=dict.fromkeys(set(names), 1),
                rules=dict.fromkeys(set(names), RULES),
            )
            head = head.after(anchor)
            await world.run("Anchor", argument([anchor]))
        for key, value in world.last.writes.items():
            seen.update(key.encode() + b"\0" + value + b"\0")
        seen.update(repr(world.last.events).encode())
    print(seen.hexdigest(), len(world.state), world.state[anchor_key("bal-1", 3)].decode())


@pytest.mark.hammer
@pytest.mark.timeout(600)  # the full count: 15 s a process on an idle machine
def test_two_processes_with_other_hash_seeds_write_the_same_bytes() -> None:
    number = counts(10_000)
    begun = [
        subprocess.Popen(
            [sys.executable, __file__, str(number)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4711")
    ]
    try:
        answers = {process.communicate()[0] for process in begun}
    finally:
        for process in begun:
            process.kill()
    assert [process.returncode for process in begun] == [0, 0]
    assert len(answers) == 1
    assert answers.pop().strip()


def test_the_contract_needs_the_standard_library_alone() -> None:
    script = (
        "import sys, asyncio; before = set(sys.modules); import chaincode.certification; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert found.strip() == "['chaincode']"


if __name__ == "__main__":
    asyncio.run(transactions(int(sys.argv[1])))
