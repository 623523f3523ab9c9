"""Leases of lanes: rows that run out, written conditionally."""

import math

from bal.core.errors import StoreUnavailable
from bal.store.cassandra.session import Session

_TAKE = "INSERT INTO leases (lane, holder) VALUES (?, ?) IF NOT EXISTS USING TTL ?"
_KEEP = "UPDATE leases USING TTL ? SET holder = ? WHERE lane = ? IF holder = ?"
_GIVE_BACK = "DELETE FROM leases WHERE lane = ? IF holder = ?"


class CassandraLeases:
    """The leases of one keyspace; the port `bal.ports.Leases`.

    The server's clocks decide when a row has run out, to the second: a lease stands for at least the time asked for and
    for up to two seconds more. Replicas' clocks must agree within the margin a worker leaves.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def hold(self, lane: str, holder: str, seconds: float) -> bool:
        """Take the lease of a lane for `seconds`, or keep it on; False while another holder has it.

        `StoreUnavailable` when neither the first nor a second request got an answer.
        """
        try:
            return await self._hold(lane, holder, seconds)
        except StoreUnavailable:
            # It may have been done. A conditional write first settles the one before it on the same row, and to hold
            # what one holds already is no harm: asking again is the way to know.
            return await self._hold(lane, holder, seconds)

    async def release(self, lane: str, holder: str) -> None:
        """Give it back; none is no harm."""
        await self._session.apply(_GIVE_BACK, (lane, holder))

    async def _hold(self, lane: str, holder: str, seconds: float) -> bool:
        # Expiry is cut down to whole seconds: a row written late in one lives up to a second less than its TTL.
        ttl = math.ceil(seconds) + 1
        taken, standing = await self._session.apply(_TAKE, (lane, holder, ttl))
        if taken:
            return True
        if holder not in standing:
            return False
        kept, _ = await self._session.apply(_KEEP, (ttl, holder, lane, holder))
        if kept:
            return True
        # It ran out between the two: free again, or another's.
        taken, _ = await self._session.apply(_TAKE, (lane, holder, ttl))
        return taken
