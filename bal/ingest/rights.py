"""Rights at a Mosquitto broker outside: one part a BAL, merged into the broker's list, read again by the broker."""

import asyncio
from collections.abc import Sequence

import structlog

from bal.core.acl import acl_text, is_grantable, overlap
from bal.core.errors import Conflict, Unavailable
from bal.core.ownership import Ownership, service_rights
from bal.core.source import Source
from bal.core.topics import NO_RIGHTS, Rights
from bal.ingest.rights_folder import RightsFolder

log = structlog.get_logger("bal.ingest.rights")


def broker_rights(identity: str, sources: Sequence[Source]) -> dict[str, Rights]:
    """Return what everybody may do at a broker outside for the sake of these sources: senders, readers, the BAL itself.

    Raises `Conflict` when a foreign topic could be of two sources.
    """
    rights = Ownership(sources).granted()
    rights[identity] = rights.get(identity, NO_RIGHTS) | service_rights(sources)
    return rights


class BrokerRights:
    """What the registrations of one BAL grant at a broker whose folder of rights is at hand."""

    where = "mqtt"

    def __init__(self, folder: RightsFolder, identity: str) -> None:
        self._folder = folder
        self._identity = identity

    async def grant(self, sources: Sequence[Source]) -> None:
        """Write the rights of these registrations and return once the broker has read them; at once when it had.

        Raises `Conflict` when another BAL has a topic that these sources would send to, or gave a password to one of their
        identities: who logs in by it would have these rights. `Misconfigured` when the folder
        or a part in it cannot be used; the broker's list stays as it was then. `Unavailable` when the broker has not read
        them, or is away.
        """
        await asyncio.to_thread(self._grant, list(sources))

    def _grant(self, sources: Sequence[Source]) -> None:
        rights = broker_rights(self._identity, sources)
        left_out = sum(not is_grantable(identity) for identity in rights)
        if left_out:
            log.warning("identities the broker cannot tell from others get no rights", count=left_out)
        with self._folder.writing():
            self._refuse_foreign(rights)
            self._folder.put(self._identity, acl_text(rights))
            if not self._folder.tell():
                message = "the MQTT broker is away and has not read these rights"
                raise Unavailable(
                    message, subject=self._folder.path.name, remedy="start it; it is tried again"
                )

    def _refuse_foreign(self, rights: dict[str, Rights]) -> None:
        """Refuse topics and users of another BAL: whoever comes first has them, as with the sources on the ledger."""
        mine = _topics(rights[self._identity])
        for name, part in self._folder.parts().items():
            theirs = _topics(part.get(name, NO_RIGHTS)) if name != self._identity else set()
            if any(overlap(a, b) for a in mine for b in theirs):
                message = "another BAL at this broker has a topic that this one's sources would send to"
                raise Conflict(message, subject=name, remedy="map other topics, or remove the source there")
        for name, users in self._folder.users().items():
            if name != self._identity and not users.isdisjoint(rights):
                message = (
                    "another BAL at this broker gave a password to an identity that this one's sources name"
                )
                remedy = "name other identities, or remove that user there"
                raise Conflict(message, subject=name, remedy=remedy)


def _topics(rights: Rights) -> set[str]:
    return {*rights.publish, *rights.subscribe}
