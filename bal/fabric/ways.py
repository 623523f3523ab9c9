"""The ways to get a proposal endorsed: which gateway, and which organisations are named to it."""

import time
from collections.abc import Iterator, Sequence

from bal.fabric.backoff import Backoff
from bal.fabric.endorsers import Endorsers
from bal.fabric.link import CallFailed, Link

Way = tuple[Link, tuple[str, ...]]
"""A gateway, and the organisations named to it (none: its own choice)."""


class Ways:
    """Remembers, over all calls, which ways failed and whose peers were in it."""

    def __init__(self, endorsers: Endorsers | None) -> None:
        self.endorsers = endorsers
        self._ways: dict[Way, Backoff] = {}
        self._organisations: dict[str, Backoff] = {}

    def way(self, way: Way) -> Backoff:
        """Return whether a way is being left alone."""
        return self._ways.setdefault(way, Backoff(time.monotonic))

    def organisation(self, msp_id: str) -> Backoff:
        """Return whether an organisation's peers are in doubt."""
        return self._organisations.setdefault(msp_id, Backoff(time.monotonic))


class Course:
    """The ways of one proposal, in order; each is told how it went.

    While no organisation is in doubt a gateway's own choice comes first. While one is, groups without it come first: a gateway left to itself may well choose the peer
    that hangs, and take all the time there is. Ways being left alone come last. `only`: the one group that may be named, by the caller's choice.
    """

    def __init__(
        self, ways: Ways, ready: Sequence[Link], resting: Sequence[Link], only: tuple[str, ...] | None
    ) -> None:
        self._ways = ways
        self._links = [*ready, *resting]
        self._only = only
        self._gone: set[Link] = set()
        self._known = ways.endorsers.organisations if ways.endorsers and only is None else ()
        # Whose gateway is left alone is tried again through that gateway, not through another that would hang with it.
        away = {link.endpoint.msp_id for link in resting} - {link.endpoint.msp_id for link in ready}
        self._doubtful = {
            msp_id for msp_id in self._known if msp_id in away or not ways.organisation(msp_id).ready()
        }

    def __iter__(self) -> Iterator[Way]:
        if self._only is not None or self._ways.endorsers is None:
            yield from ((link, self._only or ()) for link in self._links)
            return
        later: list[Way] = []
        for link in self._links:
            left = [(), *self._ways.endorsers.groups()]
            while left and link not in self._gone:
                group = min(left, key=self._doubt)
                left.remove(group)
                if self._ways.way((link, group)).ready():
                    yield link, group
                else:
                    later.append((link, group))
        for link, group in later:
            if link not in self._gone:
                yield link, group

    def is_last(self, link: Link) -> bool:
        """Tell whether there is surely no way after this gateway's."""
        return (self._only is not None or self._ways.endorsers is None) and link is self._links[-1]

    def worked(self, link: Link, group: tuple[str, ...]) -> None:
        """Note that a way led there: who was named is in doubt no more, or, of a gateway's own choice, who was not in doubt."""
        self._ways.way((link, group)).worked()
        for msp_id in group or set(self._known) - self._doubtful:
            self._ways.organisation(msp_id).worked()

    def failed(self, link: Link, group: tuple[str, ...], failure: CallFailed) -> None:
        """Note that a way failed, and whose peers the failure names."""
        names = {detail.msp_id for detail in failure.details}
        if failure.answered:
            self._ways.way((link, group)).failed()
        else:
            self._gone.add(link)
            names.add(link.endpoint.msp_id)
        self._doubtful |= names - {""}
        for msp_id in names:
            self._ways.organisation(msp_id).failed()

    def _doubt(self, group: tuple[str, ...]) -> float:
        """Return how much stands against a group: the doubtful ones in it; a gateway's own choice is between none and one."""
        if not group:
            return 0.5 if self._doubtful else -1.0
        return float(sum(msp_id in self._doubtful for msp_id in group))
