"""Erasing: first the anchored note, then row, salt and every copy in the home; finished after a crash."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from bal.core.address import Address
from bal.core.entry import Erasure, StoredEntry, leaf
from bal.core.errors import Erased, Invalid, NotFound, Refused, StoreFailed, Unavailable
from bal.core.reading import Reading, natural_key_digest
from bal.core.source import Source
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from bal.ports import Clock, ErasureNote, Ledger, Store
from bal.verify.erasure import erasure_of, proves

_PAUSE = 0.05


class Copies(Protocol):
    """An output that keeps certificates, in the home or in memory."""

    async def erase(self, address: Address) -> int:
        """Remove entry and salt of `address` wherever they are kept; return how many copies there were."""
        ...


class ErasedKeys:
    """Natural keys that have been erased, as keyed digests: what the lanes hold new readings against."""

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self._digest = digest
        self._known: set[bytes] = set()

    def replace(self, known: set[bytes]) -> None:
        """Put the digests in force."""
        self._known = known

    def add(self, reading: Reading) -> bytes:
        """Bar the natural key of `reading`; return its digest."""
        lookup = self.digest_of(reading)
        self._known.add(lookup)
        return lookup

    def digest_of(self, reading: Reading) -> bytes:
        """Return the keyed digest of a reading's natural key."""
        return self._digest(natural_key_digest(reading.natural_key))

    def __bool__(self) -> bool:
        return bool(self._known)

    def __contains__(self, reading: Reading) -> bool:
        return self.digest_of(reading) in self._known


class Erasing:
    """Carries erasures out."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        pipeline: Pipeline,
        clock: Clock,
        keys: ErasedKeys,
        copies: Sequence[Copies],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._pipeline = pipeline
        self._clock = clock
        self._keys = keys
        self._copies = copies
        self._left: dict[Address, tuple[ErasureNote, bytes | None]] = {}
        """Noted and not carried out yet, by the note's address; with the lookup once only the SCD is left to do."""
        self.turn = asyncio.Lock()
        """Held while anything is removed; who holds it reads nothing that is being erased."""

    async def erase(
        self, address: Address, who: str, why: str, source_of: Callable[[str], Source]
    ) -> Address:
        """Erase the reading at `address` wherever it is stored; return the address of the anchored note.

        Equal values of one natural key are one reading to whoever asks, so those sent again in other messages go too, each
        with a note of its own. `NotFound`, `Erased`, `Refused` for what is no reading or not anchored, `Invalid` for a row
        that does not prove to be what was anchored: run an audit first.
        """
        reading, _ = await self._erasure(address, who, why)
        source = source_of(reading.source)
        lane = self._pipeline.lane_of(source)
        self._keys.add(reading)
        notes: dict[Address, ErasureNote] = {}
        wanted = list(dict.fromkeys([address, *await self._store.repetitions(reading)]))
        while wanted:
            for one in wanted:
                await self._published(one)
            found = await asyncio.gather(*(self._note(lane, source, one, who, why) for one in wanted))
            notes |= dict(zip(wanted, found, strict=True))
            # Asked again once the notes are stored: whatever was on its way before them is stored too.
            wanted = [one for one in await self._store.repetitions(reading) if one not in notes]
        await lane.anchored.reached(max(note.noted_at.seq for note in notes.values()))
        for note in notes.values():
            async with self.turn:
                await self._remove(note, reading)
        return notes[address].noted_at

    async def _published(self, address: Address) -> None:
        writing = self._pipeline.lane_writing(address.log)
        if writing is not None:
            await writing.published.reached(address.seq)
            return
        while address.seq in await self._store.unpublished(address.log):  # of a closed log
            await self._clock.sleep(_PAUSE)

    async def _note(
        self, lane: LaneWorker, source: Source, address: Address, who: str, why: str
    ) -> ErasureNote:
        _, entry = await self._erasure(address, who, why)
        noted_at = await lane.append(entry, source.rules.digest())
        note = ErasureNote(address, noted_at, entry, (await self._store.entry(noted_at)).salt)
        self._left[noted_at] = note, None
        return note

    async def _erasure(self, address: Address, who: str, why: str) -> tuple[Reading, Erasure]:
        """Return the reading at `address` and the entry that erases it."""
        row = await self._store.entry(address)
        commitment = await self._ledger.find(address.log, address.seq)
        path = await self._store.proof_path(address)
        entry = erasure_of(row, path, commitment, who=who, why=why, received_at=self._clock.now())
        return row.entry, entry  # type: ignore[return-value]  # `erasure_of` takes nothing but readings

    async def finish(self) -> None:
        """Take up what a crash left: notes whose target is still there. Nothing of these readings is accepted again."""
        for log in await self._store.logs():
            for note in await self._store.erasures(log):
                target = await self._target(note)
                if target is not None:
                    self._keys.add(target)
                    self._left[note.noted_at] = note, None
        await self.go_on()

    async def go_on(self) -> None:
        """Carry out what is left, as far as that can be now: not before the note is anchored."""
        for noted_at in list(self._left):
            async with self.turn:
                if noted_at not in self._left:
                    continue
                note, lookup = self._left[noted_at]
                try:
                    await self._go_on(note, lookup)
                except (Refused, StoreFailed, Unavailable):
                    continue  # not anchored yet, a reader holds the old pages, the disk is full: later
                except (Invalid, NotFound):
                    pass  # a note that proves nothing: the audit names it
                self._left.pop(noted_at, None)

    async def _go_on(self, note: ErasureNote, lookup: bytes | None) -> None:
        if lookup is not None:
            await self._store.erase(note, lookup)
        elif target := await self._target(note):
            await self._prove(note)
            await self._remove(note, target)

    async def _target(self, note: ErasureNote) -> Reading | None:
        """Return the reading a note says is erased, None when it is gone or another one."""
        try:
            target = await self._store.entry(note.target)
        except (Erased, NotFound):
            return None
        same = isinstance(target.entry, Reading) and leaf(target.entry, target.salt).hex() == note.entry.leaf
        return target.entry if same else None  # type: ignore[return-value]

    async def _prove(self, note: ErasureNote) -> None:
        place = note.noted_at
        commitment = await self._ledger.find(place.log, place.seq)
        if commitment is None:
            message = "this entry is not anchored yet"
            raise Refused(message, subject=str(place), remedy="try again in a moment")
        row = StoredEntry(place, note.entry, note.salt)
        if not proves(row, leaf(note.entry, note.salt), await self._store.proof_path(place), commitment):
            message = "the stored row is not what was anchored"
            raise Invalid(message, subject=str(place), remedy="run `bal audit` first")

    async def _remove(self, note: ErasureNote, reading: Reading) -> None:
        lookup = self._keys.add(reading)
        for copies in self._copies:
            await copies.erase(note.target)
        self._left[note.noted_at] = note, lookup
        await self._store.erase(note, lookup)
        self._left.pop(note.noted_at, None)
