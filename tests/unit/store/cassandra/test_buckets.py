import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.limits import EPOCH_MAX
from bal.store.cassandra.buckets import (
    DAY_SECONDS,
    ERA_SECONDS,
    SLOT_SECONDS,
    bucket_of,
    era_of,
    slot_of,
    span_of,
    within,
)

SPANS = (SLOT_SECONDS, DAY_SECONDS, ERA_SECONDS)


@pytest.mark.parametrize(
    ("reading_type", "span"),
    [
        ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0", ERA_SECONDS),
        ("0.26.0.0.1.1.12.0.0.0.0.0.0.0.0.224.3.72.0", DAY_SECONDS),
        ("0.0.3.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0", DAY_SECONDS),
        ("voltmagnitude", SLOT_SECONDS),
        ("", SLOT_SECONDS),
    ],
)
def test_a_bucket_is_as_long_as_what_is_measured_allows(reading_type: str, span: int) -> None:
    assert span_of(reading_type) == span


@given(st.integers(0, EPOCH_MAX), st.sampled_from(SPANS))
def test_the_buckets_of_an_era_hold_its_times_and_no_other(timestamp: int, span: int) -> None:
    buckets = within(era_of(timestamp), span)
    assert bucket_of(timestamp, span) in buckets
    assert list(buckets) == sorted(buckets, reverse=True)
    assert len(buckets) == ERA_SECONDS // span
    second = 1_000_000
    assert {era_of(bucket * span * second) for bucket in (buckets[0], buckets[-1])} == {era_of(timestamp)}
    assert slot_of(timestamp) == bucket_of(timestamp, SLOT_SECONDS)
