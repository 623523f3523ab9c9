"""Subscribers of a source: what a registration becomes when one is let in or sent away."""

from collections.abc import Iterable

from bal.core.errors import Conflict
from bal.core.names import check_name
from bal.core.source import Grant, Source


def reads(source: Source, subscriber: str) -> bool:
    """Tell whether a subscriber may read a source or anything of it."""
    return subscriber in source.readers or any(grant.subscriber == subscriber for grant in source.grants)


def subscribed(source: Source, subscriber: str, points: Iterable[str]) -> Source:
    """Return a registration that lets a subscriber also read these points (pseudonyms), without any all of the source.

    Raises `Conflict` for points when it reads all of it already, `Malformed` or a `ValueError` for what is no name or point.
    """
    check_name(subscriber, "subscriber name")
    grants = {grant.subscriber: grant for grant in source.grants}
    wanted = tuple(points)
    if not wanted:
        grants.pop(subscriber, None)
        readers = tuple(sorted({*source.readers, subscriber}))
        return source.model_copy(update={"readers": readers, "grants": tuple(grants.values())})
    if subscriber in source.readers:
        message = "this subscriber reads the whole source already"
        remedy = f"first: bal subscribers remove {subscriber} --source {source.name}"
        raise Conflict(message, subject=subscriber, remedy=remedy)
    known = grants[subscriber].points if subscriber in grants else ()
    grants[subscriber] = Grant(subscriber=subscriber, points=(*known, *wanted))
    return source.model_copy(update={"grants": tuple(grants[name] for name in sorted(grants))})


def unsubscribed(source: Source, subscriber: str) -> Source:
    """Return a registration by which a subscriber reads nothing of the source."""
    return source.model_copy(
        update={
            "readers": tuple(each for each in source.readers if each != subscriber),
            "grants": tuple(grant for grant in source.grants if grant.subscriber != subscriber),
        }
    )
