"""Refusals: why one reading of a message is not accepted."""

from typing import Final

from bal.core.errors import Malformed

UNFORESEEN: Final = (ValueError, TypeError, LookupError, ArithmeticError)
"""What a reading nobody thought of may raise: its neighbours pass all the same."""


class Refusal(Malformed):
    """One reading is not accepted; `place` is the part of it to blame, `code` the word that metrics count it under."""

    slug = "refusal"

    def __init__(self, reason: str, *, place: str = "", code: str = "invalid") -> None:
        super().__init__(reason)
        self.place = place
        self.code = code
