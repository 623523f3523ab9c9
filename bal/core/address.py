"""Addresses: `log:seq:index`, the id of a certified entry."""

import re
from typing import NamedTuple, Self

from bal.core.errors import Malformed

_ADDRESS = re.compile(r"([a-z0-9][a-z0-9-]{0,47}):(0|[1-9][0-9]{0,15}):(0|[1-9][0-9]{0,4})", re.ASCII)


class Address(NamedTuple):
    """The place of an entry: its log, its batch's sequence number and its index in the batch, all from 0."""

    log: str
    seq: int
    index: int  # type: ignore[assignment]  # a tuple has a method of that name

    def __str__(self) -> str:
        return f"{self.log}:{self.seq}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address written in `text`; raise `Malformed` for any other form."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            message = "this is not an address"
            raise Malformed(message, remedy="write it as log:seq:index, for example bal-1:42:17")
        return cls(match[1], int(match[2]), int(match[3]))


class AddressRange(NamedTuple):
    """Consecutive addresses of one batch, `first` and `last` included."""

    log: str
    seq: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.log}:{self.seq}:{self.first}-{self.last}"

    def addresses(self) -> list[Address]:
        """Return every address of the range, in order."""
        return [Address(self.log, self.seq, index) for index in range(self.first, self.last + 1)]
