"""Cursors: where a page ended, sealed so that only the same question of the same client goes on from there."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any, Final

from bal.core.errors import Malformed

CURSOR_CHARACTERS: Final = 1024
"""Longest cursor looked at; ours stay under 500."""
_SEAL_BYTES: Final = 16


class Cursors:
    """Makes and opens cursors under one secret; good for as long as the secret is."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, question: object, position: object) -> str:
        """Return the cursor of `position` (JSON values) in the answer to `question` (JSON values)."""
        text = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._seal(question, text) + text).decode().rstrip("=")

    def open(self, question: object, cursor: str) -> Any:
        """Return the position; raise `Malformed` for a cursor that was not made for this very question."""
        if len(cursor) <= CURSOR_CHARACTERS:
            try:
                raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                raw = b""
            seal, text = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
            if hmac.compare_digest(seal, self._seal(question, text)):
                return json.loads(text)
        message = "this cursor does not belong to this request"
        raise Malformed(message, remedy="ask again without a cursor, with the same parameters throughout")

    def _seal(self, question: object, text: bytes) -> bytes:
        asked = json.dumps(question, sort_keys=True, separators=(",", ":")).encode()
        return hmac.digest(self._secret, hashlib.sha256(asked).digest() + text, hashlib.sha256)[:_SEAL_BYTES]
