"""Rights on Kafka as they follow from registrations, and the topics file."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bal.core.errors import Misconfigured
from bal.core.source import Grant, Source
from bal.publish.kafka import read_families
from bal.publish.kafka.registrations import changes, written_by_others
from bal.publish.kafka.rights import Right, groups_of, may_read, may_write

POINT = "a" * 26


def source(name: str, *readers: str, granted: Sequence[str] = ()) -> Source:
    grants = tuple(Grant(subscriber=each, points=(POINT,)) for each in granted)
    return Source(name=name, lane="bal-1", outputs=("kafka",), readers=readers, grants=grants)


def own(me: str) -> set[Right]:
    """Return what a BAL may do whatever its registrations are: report what it refused, and read that."""
    topic = f"bal.rejected.{me}"
    return {may_write(me, topic), may_read(me, topic), *groups_of(me)}


def after(
    sources: Sequence[Source], standing: set[Right], me: str = "bal-a", readers: Sequence[str] = ()
) -> set[Right]:
    change = changes(me, sources, standing, readers)
    assert not set(change.given) & standing
    assert set(change.taken) <= standing
    return (standing | set(change.given)) - set(change.taken)


def test_who_writes_who_reads_and_nobody_else() -> None:
    stranger = Right("hand-made", "READ", "TOPIC", "bal.certified.dso-a")
    unrelated = {
        Right("hand-made", "READ", "TOPIC", "other"),
        Right("bal-a", "IDEMPOTENT_WRITE", "BROKER", "c"),
    }
    found = after([source("dso-a", "market", granted=["home"])], {stranger, *unrelated})
    assert found == {
        *unrelated,
        *own("bal-a"),
        may_write("bal-a", "bal.certified.dso-a"),
        may_read("market", "bal.certified.dso-a"),
        may_write("bal-a", "bal.granted.home"),
        may_read("home", "bal.granted.home"),
        *groups_of("market"),
        *groups_of("home"),
    }


def test_registrations_applied_again_change_nothing() -> None:
    registered = [source("dso-a", "market", granted=["home"]), source("dso-b", "market")]
    standing = after(registered, set())
    assert changes("bal-a", registered, standing) == ([], [])


def test_groups_go_with_the_last_topic() -> None:
    standing = after([source("dso-a", "market"), source("dso-b", "market")], set())
    standing = after([source("dso-a", "market"), source("dso-b")], standing)
    assert set(groups_of("market")) <= standing
    standing = after([source("dso-a"), source("dso-b")], standing)
    assert {right.principal for right in standing} == {"bal-a"}


def test_what_another_bal_grants_stays() -> None:
    standing = after([source("dso-a", granted=["home"])], set(), "bal-a")
    standing = after([source("dso-x", granted=["home"])], standing, "bal-x")
    standing = after([source("dso-a")], standing, "bal-a")
    assert may_write("bal-a", "bal.granted.home") not in standing
    assert {may_write("bal-x", "bal.granted.home"), may_read("home", "bal.granted.home")} <= standing
    standing = after([source("dso-x")], standing, "bal-x")
    assert {right.principal for right in standing} == {"bal-a", "bal-x"}


def test_what_was_refused_is_read_by_the_bal_and_whom_the_operator_names() -> None:
    subscribed = [source("dso-a", "market", granted=["home"])]
    plain = after(subscribed, set())
    topic = "bal.rejected.bal-a"
    assert {right for right in plain if right.name == topic} == {
        may_write("bal-a", topic),
        may_read("bal-a", topic),
    }
    named = after(subscribed, plain, readers=["desk", "market"])
    given = {may_read("desk", topic), may_read("market", topic), *groups_of("desk")}
    assert named - plain == given
    assert changes("bal-a", subscribed, named, ["desk", "market"]) == ([], [])
    assert after(subscribed, named) == plain, (
        "with the right to read, groups go unless something else is read"
    )


def test_what_another_bal_refused_is_not_touched() -> None:
    standing = after([source("dso-x")], set(), "bal-x", ["desk"])
    both = after([source("dso-a")], standing, "bal-a")
    assert standing <= both
    assert not any(
        right.principal == "bal-a" and right.name.endswith("bal-x") for right in both if right.kind == "TOPIC"
    )
    assert after([source("dso-a")], both, "bal-a", ["desk"]) >= both


def test_nobodys_groups_begin_as_another_ones() -> None:
    mine, theirs = groups_of("market"), groups_of("market-2")
    assert not any(right.prefixed and each.name.startswith(right.name) for right in mine for each in theirs)


def test_a_topic_that_another_writes_is_known() -> None:
    standing = {may_write("bal-x", "bal.certified.dso-a"), may_write("bal-x", "bal.granted.home")}
    assert written_by_others("bal-a", standing) == {"bal.certified.dso-a": "bal-x"}
    assert written_by_others("bal-x", standing) == {}


def test_the_topics_file_that_comes_along_is_read() -> None:
    families = read_families()
    assert families["certified"].partitions == 3
    assert families["certified"].settings()["cleanup.policy"] == "delete"
    assert families["certified"].settings()["retention.ms"] == "2592000000"
    assert families["rejected"].partitions == 1, "one order of all that was refused"


def test_a_topics_file_need_not_say_how_what_was_refused_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "topics.toml"
    path.write_text("[certified]\npartitions = 6\n[granted]\npartitions = 1\n")
    families = read_families(path)
    assert (families["certified"].partitions, families["rejected"].partitions) == (6, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certified = ", "not TOML"),
        ("[certified]\npartitions = 0\n[granted]\npartitions = 1\n", "greater than"),
        ("[certified]\npartitions = 3\n", "required"),
        ("[certified]\npartitions = 3\nmore = 1\n[granted]\npartitions = 1\n", "extra"),
        (None, "cannot be opened"),
    ],
)
def test_a_wrong_topics_file_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "topics.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Misconfigured, match=words):
        read_families(path)
