import pytest
from pydantic import ValidationError

from bal.core.errors import Conflict, Malformed
from bal.core.source import Source
from bal.core.subscribing import reads, subscribed, unsubscribed

SOURCE = Source(name="dso-a", lane="lane", readers=("market-1",))
ONE, TWO = "a" * 26, "b" * 26


def test_points_are_added_and_all_of_a_source_takes_their_place() -> None:
    some = subscribed(subscribed(SOURCE, "home-1", [TWO]), "home-1", [ONE, TWO])
    assert [(grant.subscriber, grant.points) for grant in some.grants] == [("home-1", (ONE, TWO))]
    assert some.readers == ("market-1",)
    whole = subscribed(some, "home-1", [])
    assert (whole.grants, whole.readers) == ((), ("home-1", "market-1"))
    assert subscribed(whole, "home-1", []) == whole
    with pytest.raises(Conflict, match="home-1"):
        subscribed(whole, "home-1", [ONE])


def test_who_is_sent_away_reads_nothing_and_others_what_they_did() -> None:
    several = subscribed(subscribed(SOURCE, "home-1", [ONE]), "home-2", [ONE])
    left = unsubscribed(unsubscribed(several, "home-1"), "market-1")
    assert [reads(left, name) for name in ("home-1", "home-2", "market-1")] == [False, True, False]
    assert unsubscribed(left, "nobody") == left


def test_what_is_no_name_or_no_point_is_refused() -> None:
    with pytest.raises(Malformed):
        subscribed(SOURCE, "No Name", [])
    with pytest.raises(ValidationError):
        subscribed(SOURCE, "home-1", ["DE-METER-1"])
