import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.acl import acl_text, is_grantable, overlap, parse_acl
from bal.core.errors import Malformed
from bal.core.topics import Rights, covers

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
LEVELS = st.lists(st.sampled_from(["a", "b", "+"]), min_size=1, max_size=4)


def test_the_list_says_who_may_do_what() -> None:
    rights = {
        "dso-b": Rights((), ("bal/dso-b/accepted",)),
        "dso-a": Rights(("bal/dso-a/cim", "field/a/+/x", "bal/dso-a/cim"), ("bal/dso-a/accepted",)),
        "nobody": Rights(),
    }
    assert acl_text(rights) == (
        "user dso-a\ntopic write bal/dso-a/cim\ntopic write field/a/+/x\ntopic read bal/dso-a/accepted\n"
        "user dso-b\ntopic read bal/dso-b/accepted\nuser nobody\n"
    )
    assert acl_text({}) == ""


@given(st.dictionaries(TEXT, st.builds(Rights, st.lists(TEXT).map(tuple), st.lists(TEXT).map(tuple))))
def test_a_list_grants_nothing_that_was_not_given(rights: dict[str, Rights]) -> None:
    """Whatever names and topics hold, the broker reads no other name, no other topic and no other line."""
    found = parse_acl(acl_text(rights))
    assert found.keys() == set(filter(is_grantable, rights))
    for name, granted in found.items():
        assert set(granted.publish) <= set(rights[name].publish)
        assert set(granted.subscribe) <= set(rights[name].subscribe)


@pytest.mark.parametrize("identity", ["", " a", "a ", "a\nuser b", "a+", "#", "a\x00", "a" * 65, "\ta"])
def test_identities_that_would_be_taken_for_others_get_nothing(identity: str) -> None:
    assert not is_grantable(identity)
    assert acl_text({identity: Rights(("a",), ())}) == ""


@pytest.mark.parametrize("topic", [" a", "a ", "a\nuser b", "", "a#", "$SYS/x", "a\x00"])
def test_topics_that_would_be_taken_for_others_are_left_out(topic: str) -> None:
    assert acl_text({"a": Rights((topic,), (topic,))}) == "user a\n"


@pytest.mark.parametrize(
    "text",
    [
        "topic read a",
        "user a\ntopic a",
        "user a\npattern read %u/#",
        "user a\ntopic readwrite a",
        "user a\ntopic read  a",
        "user a\nTopic read a",
        "user ",
        "user a\ntopic deny a",
    ],
)
def test_lines_that_are_not_ours_are_refused(text: str) -> None:
    with pytest.raises(Malformed, match="line"):
        parse_acl(text)


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("+/b", "a/+", True),
        ("a/b", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "x/y", True),
        ("a/+/c", "a/b/d", False),
    ],
)
def test_filters_that_meet(one: str, other: str, *, met: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is met


@given(LEVELS, LEVELS)
def test_what_covers_another_overlaps_it(one: list[str], other: list[str]) -> None:
    a, b = "/".join(one), "/".join(other)
    assert overlap(a, b) or not covers(a, b)
