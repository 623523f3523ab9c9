"""The peers of a channel, heard one by one: one's own is believed, the others where a majority of them agrees.

A peer of another organisation may say what it likes. So what one's own peer has counts. What it does not have, or can't
say because it is silent, counts when the peers of as many organisations say it alike as it takes to endorse: together
those can write what they like anyway.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypeVar

from bal.anchor.fabric.channel import Channel
from bal.core.errors import LedgerRefused, LedgerUnavailable
from bal.fabric.backoff import Backoff
from bal.ports import Clock

_AGREE_SECONDS: Final = 2.0
"""How long peers that answer differently are asked again: a block takes milliseconds from one to the next."""
PAUSE: Final = 0.05
"""Seconds before peers are asked again."""
BEHIND_SECONDS: Final = 5.0
"""How long peers may be behind for a moment, on loaded machines too: what they say for longer is no lag."""

T = TypeVar("T")
Question = Callable[[str], Awaitable[T | None]]
"""Asks the peer at an address; None is `unknown`. Raises `LedgerUnavailable` where no answer comes that makes sense.

`LedgerRefused` where the contract refuses the question.
"""


def unsettled(what: str) -> LedgerUnavailable:
    """Return the error of peers that are too few, or too far apart."""
    return LedgerUnavailable(
        what, subject="certification", remedy="see that the peers of all organisations are up and not behind"
    )


class Peers:
    """Asks them, and remembers which were silent and whether they differ: neither is waited for in every call."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._members = channel.members
        self._clock = clock
        self._agree = True
        self._silence = {peer: Backoff(clock.monotonic) for peer in self._members}
        self._why = ""
        """Why one's own peer gave no answer the last time it gave none."""
        self.own = next(iter(self._members))
        self.needed = len(set(self._members.values())) // 2 + 1
        """How many organisations are a majority of those whose peers are known here."""

    def __len__(self) -> int:
        return len(self._members)

    def organisations(self, peers: Iterable[str]) -> tuple[str, ...]:
        """Return whose these peers are (MSP ids), each once, in the order of all."""
        some = set(peers)
        return tuple(dict.fromkeys(msp for peer, msp in self._members.items() if peer in some))

    async def word(self, question: Question[T]) -> T | None:
        """Return what counts, None for `unknown`. `LedgerUnavailable` when the answers that came do not settle it.

        `LedgerRefused`, here and below, where one's own peer refuses the question.
        """
        said = await self._ask([peer for peer in [self.own] if self._silence[peer].ready()], question)
        own = said.get(self.own)
        return own if own is not None else await self.agreed(question)

    async def agreed(self, question: Question[T]) -> T | None:
        """Return what counts once all peers had their say; for what others change: one's own may be a moment behind them.

        `LedgerUnavailable` as for `word`.
        """
        said = await self.everyone(question)
        own = said.get(self.own)
        if own is not None:
            return own
        for answer in said.values():
            alike = self.organisations(peer for peer, each in said.items() if each == answer)
            if len(alike) >= self.needed:
                return answer
        raise unsettled("one's own peer does not have it or is silent, and no majority of the others agrees")

    async def everyone(self, question: Question[T]) -> Mapping[str, T | None]:
        """Return what each peer answers, once all do alike or it is plain that they do not.

        `LedgerUnavailable` when none answers.
        """
        until = self._clock.monotonic() + (_AGREE_SECONDS if self._agree else 0)
        while True:
            said = await self.hear(question)
            answers = list(said.values())
            alike = all(each == answers[0] for each in answers)
            if alike or self._clock.monotonic() >= until:
                self._agree = alike
                return said
            await self._clock.sleep(PAUSE)

    async def hear(self, question: Question[T]) -> Mapping[str, T | None]:
        """Return what each peer answers now; those lately silent are asked only where the others are too few.

        `LedgerUnavailable` when none answers.
        """
        ready = [peer for peer in self._members if self._silence[peer].ready()]
        said = await self._ask(ready, question)
        if len(self.organisations(said)) < self.needed:
            said |= await self._ask([peer for peer in self._members if peer not in ready], question)
        if not said:
            raise unsettled(f"no peer gives an answer; of one's own: {self._why}")
        return {peer: said[peer] for peer in self._members if peer in said}

    async def _ask(self, peers: list[str], question: Question[T]) -> dict[str, T | None]:
        async def ask(peer: str) -> tuple[T | None] | None:
            try:
                answer = await question(peer)
            except LedgerRefused:  # of a question the others answer: worth no more than silence
                if peer == self.own:
                    raise
            except LedgerUnavailable as error:
                if peer == self.own:
                    self._why = error.what
            else:
                self._silence[peer].worked()
                return (answer,)
            self._silence[peer].failed()
            return None

        answers = await asyncio.gather(*map(ask, peers))
        return {peer: each[0] for peer, each in zip(peers, answers, strict=True) if each is not None}

    def attested(self, ends: Mapping[str, int]) -> int | None:
        """Return the furthest of the `ends` peers tell of that one's own has, or a majority of organisations.

        None where neither has one, and where somebody tells of a further one and no majority says just what these have:
        one's own may be behind, and so may be whoever bears it out.
        """
        reached: Counter[str] = Counter()
        for peer, end in ends.items():
            reached[self._members[peer]] = max(reached[self._members[peer]], end)
        ranked = sorted(reached.values(), reverse=True)
        agreed = ranked[self.needed - 1] if len(ranked) >= self.needed else -1
        end = max(ends.get(self.own, -1), agreed)
        settled = end >= ranked[0] or ranked.count(end) >= self.needed
        return end if end >= 0 and settled else None
