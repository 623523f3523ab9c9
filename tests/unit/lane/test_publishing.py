"""Publishing: every output, in order; what refuses is parked, what is away is waited for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bal.core.certified import CertifiedBatch
from bal.core.errors import PublishRefused, Unavailable
from bal.core.source import Source
from bal.lane.publishing import Publishing
from tests.sim.store import SimulatedStore
from tests.unit.lane.world import CountedMetrics, FakeClock, ListedOutput, settings
from tests.unit.store.rows import batch, committed, reading

SOURCES: dict[str, Source] = {
    "dso-a": Source(name="dso-a", lane="bal-1"),
    "dso-b": Source(name="dso-b", lane="bal-1", outputs=("jsonl", "mqtt")),
    "dso-c": Source(name="dso-c", lane="bal-1", outputs=()),
}


def certified(*sources: str) -> CertifiedBatch:
    sealed = batch([reading(str(at), at, source=source) for at, source in enumerate(sources)])
    return CertifiedBatch(committed(sealed.anchor), sealed.entries, sealed.salts, sealed.leaves)


def publishing(
    *outputs: ListedOutput, sources: Mapping[str, Source] = SOURCES
) -> tuple[Publishing, CountedMetrics]:
    metrics = CountedMetrics()
    store = SimulatedStore()
    return Publishing(store, outputs, lambda: sources, FakeClock(), settings(), metrics.alarm), metrics


async def test_a_source_goes_to_the_outputs_it_is_set_to_and_events_have_all() -> None:
    files, topics, events = ListedOutput("jsonl"), ListedOutput("mqtt"), ListedOutput("events")
    work, _ = publishing(files, topics, events)
    await work.publish(certified("dso-a", "dso-b", "dso-c", "unknown"))
    assert files.given == [("bal-1", 0, ("dso-a", "dso-b"))]
    assert topics.given == [("bal-1", 0, ("dso-b",))]
    assert events.given == [("bal-1", 0, ("dso-a", "dso-b", "dso-c"))]
    await work.publish(certified("dso-c"))
    assert len(files.given) == len(topics.given) == 1


async def test_a_refused_source_is_parked_there_and_the_others_go_on() -> None:
    files = ListedOutput("jsonl", PublishRefused("no grant", source="dso-a"))
    events = ListedOutput("events")
    work, metrics = publishing(files, events)
    for _ in range(2):
        await work.publish(certified("dso-a", "dso-b"))
    assert files.given == [("bal-1", 0, ("dso-b",))] * 2
    assert events.given == [("bal-1", 0, ("dso-a", "dso-b"))] * 2
    assert set(work.parked) == {("jsonl", "dso-a")}
    assert metrics.counts["output-parked"] == 1


async def test_an_output_that_refuses_everything_is_not_asked_for_ever() -> None:
    files = ListedOutput("jsonl", *(PublishRefused("no", source=name) for name in ("dso-b", "dso-a")))
    work, _ = publishing(files)
    await work.publish(certified("dso-a", "dso-b"))
    assert files.given == []
    assert set(work.parked) == {("jsonl", "dso-a"), ("jsonl", "dso-b")}


async def test_refusing_a_source_that_was_not_given_is_an_error_not_a_loop() -> None:
    work, _ = publishing(ListedOutput("jsonl", *(PublishRefused("no", source="dso-z") for _ in range(3))))
    with pytest.raises(PublishRefused):
        await work.publish(certified("dso-a"))


async def test_an_output_that_is_away_is_tried_until_it_is_back() -> None:
    files = ListedOutput("jsonl", *(Unavailable("disk full") for _ in range(9)))
    work, _ = publishing(files)
    await work.publish(certified("dso-a"))
    assert files.given == [("bal-1", 0, ("dso-a",))]
    assert not work.stalled.is_set()
