import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bal.core.errors import Conflict, Malformed, Refused
from bal.core.ownership import Ownership, may_publish, may_subscribe
from bal.core.source import Source
from bal.core.topics import (
    ALL_RIGHTS,
    MISNAMED,
    Destination,
    Rights,
    TopicMapping,
    accepted_topic,
    certified_topic,
    check_topic,
    cim_topic,
    covers,
    is_filter,
    is_topic,
    matches,
    parse_topic,
    pmu_topic,
    readings_topic,
    rejected_topic,
)

LEVELS = st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4)
FILTERS = st.builds(lambda levels, rest: "/".join([*levels, *rest]), LEVELS, st.sampled_from([[], ["#"]]))
TOPICS = st.builds("/".join, st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=5))


def mapping(topic: str = "field/a/+/frames", form: str = "pmu", **members: object) -> TopicMapping:
    return TopicMapping.model_validate({"topic": topic, "form": form, **members})


FIELD = mapping(device_level=2)
A = Source(name="dso-a", lane="lane", topics=(FIELD, mapping("scada/docs", "cim")))
B = Source(name="dso-b", lane="lane", identities=("gateway-7", "dso-a"))


def test_names_of_topics() -> None:
    assert cim_topic("s") == "bal/s/cim"
    assert pmu_topic("s", "d") == "bal/s/pmu/d"
    assert accepted_topic("s") == "bal/s/accepted"
    assert rejected_topic("s") == "bal/s/rejected"
    assert certified_topic("s", "p") == "bal/s/certified/p"
    assert readings_topic("s", "p") == "bal/s/readings/p"


@pytest.mark.parametrize(
    ("topic", "destination"),
    [
        ("bal/dso-a/cim", Destination("dso-a", "cim")),
        ("bal/dso-a/pmu/pmu-1", Destination("dso-a", "pmu", "pmu-1")),
        ("bal/dso-a/pmu/", Destination("dso-a", "pmu", "", MISNAMED)),
        ("bal/dso-a/pmu/PMU", Destination("dso-a", "pmu", "", MISNAMED)),
        *(
            (topic, None)
            for topic in (
                "bal/dso-a/cim/",
                "bal/dso-a/pmu",
                "bal/dso-a/pmu/a/b",
                "bal/Dso/cim",
                "bal//cim",
                "/bal/dso-a/cim",
                "bal/dso-a/accepted",
                "bal",
                "",
            )
        ),
    ],
)
def test_what_a_topic_stands_for(topic: str, destination: Destination | None) -> None:
    assert parse_topic(topic) == destination


@pytest.mark.parametrize(
    ("topic_filter", "topic", "match"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("+", "/a", False),
        ("+/+", "/a", True),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
    ],
)
def test_the_examples_of_the_standard(topic_filter: str, topic: str, match: bool) -> None:
    """MQTT 3.1.1, 4.7.1 and 4.7.2."""
    assert matches(topic_filter, topic) is match


@given(FILTERS, FILTERS, TOPICS)
def test_what_is_covered_matches_nothing_more(granted: str, wanted: str, topic: str) -> None:
    if covers(granted, wanted) and matches(wanted, topic):
        assert matches(granted, topic)


@given(FILTERS, TOPICS)
def test_covering_a_topic_is_matching_it(granted: str, topic: str) -> None:
    assert covers(granted, topic) is matches(granted, topic)


@pytest.mark.parametrize("text", ["", "$SYS/x", "$share/g/a", "a\0b", "a\nb", "/" * 16, "x" * 513, "a\ud800"])
def test_neither_topic_nor_filter(text: str) -> None:
    assert not is_topic(text)
    assert not is_filter(text)


@pytest.mark.parametrize("text", ["a+", "+a/b", "a/#/b", "#/a", "##", "a/b#"])
def test_wildcards_only_as_whole_levels(text: str) -> None:
    assert not is_filter(text)
    assert not is_topic(text)


def test_topics_to_publish_to_are_checked() -> None:
    assert check_topic("a/b") == "a/b"
    with pytest.raises(Malformed):
        check_topic("a/+")


def test_a_source_writes_its_documents_and_reads_its_receipts() -> None:
    for topic in ("bal/dso-a/cim", "bal/dso-a/pmu/p-1", "field/a/p-1/frames", "scada/docs"):
        assert may_publish(A, topic)
        assert not may_subscribe(A, topic)
    for topic in ("bal/dso-a/accepted", "bal/dso-a/rejected"):
        assert may_subscribe(A, topic)
        assert not may_publish(A, topic)
    for topic in ("bal/dso-b/cim", "bal/dso-a/certified/x", "bal/dso-a/pmu/+", "field/a/+/frames", "x"):
        assert not may_publish(A, topic)
    for topic in ("#", "bal/#", "bal/+/accepted", "bal/dso-a/+", "+/dso-a/accepted", "bal/dso-b/accepted"):
        assert not may_subscribe(A, topic)


def test_grants_of_subscribers() -> None:
    rights = Rights(subscribe=("bal/dso-a/certified/+",)) | Rights(subscribe=("bal/dso-b/readings/#",))
    assert rights.may_subscribe("bal/dso-a/certified/+")
    assert rights.may_subscribe("bal/dso-a/certified/p")
    assert rights.may_receive("bal/dso-b/readings/p")
    assert not rights.may_subscribe("bal/dso-a/certified/#")
    assert not rights.may_subscribe("bal/+/certified/p")
    assert not rights.may_receive("bal/dso-c/readings/p")
    assert not rights.may_publish("bal/dso-a/certified/p")


def test_not_even_the_bal_itself_reaches_the_brokers_own_topics() -> None:
    assert ALL_RIGHTS.may_publish("bal/dso-a/certified/x")
    assert ALL_RIGHTS.may_subscribe("#")
    assert not ALL_RIGHTS.may_subscribe("$SYS/#")
    assert not ALL_RIGHTS.may_publish("$SYS/x")


def test_ownership_by_identity() -> None:
    ownership = Ownership([A, B])
    assert ownership.may_send_as("dso-a", "dso-a")
    assert ownership.may_send_as("dso-a", "dso-b")
    assert ownership.may_send_as("gateway-7", "dso-b")
    assert not ownership.may_send_as("dso-b", "dso-b"), (
        "its identities are named, its own name is not among them"
    )
    assert not ownership.may_send_as("gateway-7", "nobody")
    assert ownership.rights_of("gateway-7").may_publish("bal/dso-b/cim")
    assert not ownership.rights_of("gateway-7").may_publish("bal/dso-a/cim")
    assert ownership.rights_of("dso-a").may_publish("bal/dso-b/cim")
    assert ownership.rights_of("stranger") == Rights()
    assert ownership.source("dso-b") == B
    assert ownership.source("dso-c") is None


def test_messages_are_checked_against_their_topic_again() -> None:
    ownership = Ownership([A, B])
    message = ownership.message("dso-a", "field/a/p-9/frames", b"{}")
    assert (message.source, message.form, message.device, message.body) == ("dso-a", "pmu", "p-9", b"{}")
    assert ownership.message(None, "bal/dso-b/cim", b"").source == "dso-b"
    for identity, topic in (
        ("gateway-7", "bal/dso-a/cim"),
        ("dso-a", "bal/dso-c/cim"),
        (None, "bal/dso-c/cim"),
        ("dso-a", "field/a//frames"),
        ("dso-a", "bal/dso-a/accepted"),
    ):
        with pytest.raises(Refused):
            ownership.message(identity, topic, b"")


@pytest.mark.parametrize(
    "members",
    [
        {"topic": "bal/dso-a/x", "form": "cim"},
        {"topic": "+/x", "form": "cim"},
        {"topic": "/x", "form": "cim"},
        {"topic": "x/#", "form": "cim"},
        {"topic": "$SYS/x", "form": "cim"},
        {"topic": "x/y", "form": "cim", "device_level": 1},
        {"topic": "x/y", "form": "pmu"},
        {"topic": "x/y", "form": "pmu", "device_level": 2},
        {"topic": "x/y", "form": "pmu", "device_level": 1, "device": "d"},
        {"topic": "x/y", "form": "pmu", "device": "Not A Name"},
        {"topic": "x/y", "form": "xml"},
        {"topic": "x/y", "form": "cim", "more": 1},
    ],
)
def test_mappings_that_are_not_allowed(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TopicMapping.model_validate(members)


def test_foreign_topics_must_not_be_mistaken_for_each_other() -> None:
    for other in ("field/a/p-1/frames", "field/+/p-1/+", "scada/+"):
        second = Source(name="dso-c", lane="lane", topics=(mapping(other, device="d"),))
        with pytest.raises(Conflict):
            Ownership([A, second])
    Ownership([A, Source(name="dso-c", lane="lane", topics=(mapping("field/b/+/frames", device_level=2),))])
    with pytest.raises(Conflict):
        Ownership([Source(name="one", lane="lane", topics=(FIELD, mapping("field/+/x/frames", device="d")))])
