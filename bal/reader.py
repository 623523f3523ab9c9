"""The reading side of a home: what query, certificate and audit need, beside whoever writes it."""

from dataclasses import dataclass

from bal.core.address import Address
from bal.core.certified import certificate_text
from bal.core.errors import NotYetAnchored, UnknownSource
from bal.core.pseudonym import IdentifierKind, PseudonymKey
from bal.core.source import Source
from bal.ports import Ledger, Store

_KINDS: tuple[IdentifierKind, ...] = ("usage-point", "meter", "device")


async def certificate(store: Store, address: Address) -> str:
    """Return the certificate of an entry as one line of JSON. `NotFound`, `Erased`, `NotYetAnchored`."""
    row = await store.entry(address)
    record = await store.batch(address.log, address.seq)
    if record.commitment is None:
        message = "this entry has no anchor yet"
        raise NotYetAnchored(message, subject=str(address), remedy="ask again in a moment")
    path = await store.proof_path(address)
    return certificate_text(address, row.entry, row.salt, [node.hex() for node in path], record.commitment)


def pseudonyms(keys: tuple[PseudonymKey, ...], source: str, identifier: str) -> list[str]:
    """Return every pseudonym `identifier` may stand under: of each kind, by each key there has been, newest first."""
    return [key.pseudonym(source, kind, identifier) for key in reversed(keys) for kind in _KINDS]


@dataclass(frozen=True, slots=True)
class Reader:
    """A home opened for reading."""

    store: Store
    ledger: Ledger
    keys: tuple[PseudonymKey, ...]

    async def registered(self, name: str) -> Source:
        """Return the registration of a source. `UnknownSource`."""
        for source in await self.store.sources():
            if source.name == name:
                return source
        message = "this source is not registered"
        raise UnknownSource(message, subject=name, remedy=f"register it with `bal sources add {name}`")

    def pseudonyms(self, source: str, identifier: str) -> list[str]:
        """Return every pseudonym `identifier` may stand under."""
        return pseudonyms(self.keys, source, identifier)

    async def certificate(self, address: Address) -> str:
        """Return the certificate of an entry."""
        return await certificate(self.store, address)
