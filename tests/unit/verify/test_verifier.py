"""Certificates of a real home against its real ledger, and what verification imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bal.core.address import Address
from bal.reader import certificate
from bal.verify.anchors import AnchorFile
from bal.verify.verifier import verify, verify_on_ledger
from tests.unit.verify.world import SIZES, honest


async def test_certificates_hold_on_the_ledger_and_under_its_export(tmp_path: Path) -> None:
    async with honest(tmp_path) as made:
        exported = [
            json.dumps(commitment.to_json()) + "\n"
            for log in await made.ledger.logs()
            async for commitment in made.ledger.anchors(log)
        ]
        (tmp_path / "anchors.jsonl").write_text("".join(exported), encoding="utf-8")
        with AnchorFile(tmp_path / "anchors.jsonl") as anchors:
            assert anchors.heads == (await made.audit()).heads
            for seq, size in enumerate(SIZES):
                text = await certificate(made.store, Address("bal-1", seq, size - 1))
                assert await verify_on_ledger(text, made.ledger) == (True, "")
                assert verify(text, anchors) == (True, "")
            [note] = await made.store.erasures("bal-1")
            assert verify(await certificate(made.store, note.noted_at), anchors) == (True, "")
        text = await certificate(made.store, Address("bal-1", 1, 599))
        changed = text.replace('"unit":"Wh"', '"unit":"kWh"')
        assert await verify_on_ledger(changed, made.ledger) == (
            False,
            "entry, salt and path do not lead to the anchored root",
        )
        foreign = text.replace("bal-1", "bal-9")
        assert await verify_on_ledger(foreign, made.ledger) == (
            False,
            "its anchor is not among the trusted ones",
        )
        assert not (await verify_on_ledger("", made.ledger)).valid


def test_verification_loads_no_server() -> None:
    script = (
        "import sys, bal.verify.audit, bal.verify.verifier, bal.verify.erasure\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names & {'fastapi', 'starlette', 'uvicorn', 'amqtt', 'aiomqtt', 'paho', 'httpx', 'authlib', 'lxml'}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
