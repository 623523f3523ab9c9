import json

import pytest

from bal.core.errors import Refused, Unavailable
from bal.core.ownership import Ownership
from bal.core.source import Source
from bal.ingest import EmbeddedInbox, Intake

OWNERSHIP = Ownership([Source(name="dso-a", lane="one"), Source(name="dso-b", lane="two")])


class Told(list[tuple[str, bytes]]):
    async def send(self, topic: str, payload: bytes) -> None:
        self.append((topic, payload))


async def test_every_source_goes_to_its_own_lane() -> None:
    told = Told()
    inboxes = {name: EmbeddedInbox(told.send) for name in ("dso-a", "dso-b")}
    intake = Intake(lambda: OWNERSHIP, inboxes.get, told.send)
    assert await intake.take("dso-a", "bal/dso-a/cim", b"1")
    assert await intake.take("dso-b", "bal/dso-b/pmu/p-1", b"2")
    assert not await intake.take("bal", "bal/dso-a/certified/x", b"3")
    assert [inbox.pending for inbox in inboxes.values()] == [1, 1]


async def test_a_lane_that_does_not_run_takes_nothing_and_nobody_else_is_harmed() -> None:
    told = Told()
    intake = Intake(lambda: OWNERSHIP, lambda _: None, told.send)
    with pytest.raises(Unavailable):
        await intake.take("dso-a", "bal/dso-a/cim", b"1")
    with pytest.raises(Refused):
        await intake.take("dso-a", "bal/dso-b/cim", b"1")


async def test_refusals_are_told_to_the_owner_of_the_topic_only() -> None:
    told = Told()
    intake = Intake(lambda: OWNERSHIP, lambda _: None, told.send)
    await intake.refuse("dso-a", "bal/dso-b/cim", b"body", "not so")
    await intake.refuse("dso-a", "bal/dso-a/accepted", b"body", "not so")
    assert told == []
    await intake.refuse("dso-a", "bal/dso-a/cim", b"body", "not so")
    ((topic, payload),) = told
    assert topic == "bal/dso-a/rejected"
    assert json.loads(payload)["rejections"] == [{"reason": "not so", "where": ""}]
    assert b"body" not in payload
