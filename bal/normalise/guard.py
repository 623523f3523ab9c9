"""Guard: what is refused of an XML document before the parser sees it.

Bytes become UTF-8 here, by Python's codecs, so that the parser decodes nothing but UTF-8 and what was looked at is what
is parsed. A document type declaration can stand only before the root element, so the prologue is read here and the
document refused at the first `<!` that opens no comment: no entity is ever declared, so none can be expanded.
"""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from bal.core.errors import Unreadable

CHUNK_BYTES = 1 << 18
_WHITE = b" \t\r\n"
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9._-]{1,40})["']""")
_UTF_8 = re.compile(r"utf-?8|us-ascii|ascii", re.IGNORECASE)
_CODE_PAGE = re.compile(r"(iso-8859-)([1-9]|1[013456])|(?:windows-|cp)(125[0-8])", re.IGNORECASE)
_REFUSED_ENCODING = "the document is in an encoding that is not read"


def utf8_chunks(body: bytes | BinaryIO) -> Iterator[bytes]:
    """Yield `body` as UTF-8 in chunks, its prologue checked ahead of what is yielded.

    Reads UTF-8, UTF-16 (by its byte order mark or its first character) and the declared ISO 8859 and Windows code
    pages. Raises `Unreadable` for another encoding, bytes that are none, a DOCTYPE, or text before the root element.
    """
    chunks = _chunks(body)
    head = next(chunks, b"")
    while len(head) < 256:
        more = next(chunks, b"")
        if not more:
            break
        head += more
    encoding, skip = _encoding(head)
    prologue = Prologue()
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("strict")
    chunk, last = head[skip:], False
    while not last:
        following = next(chunks, b"")
        last = not following
        if decoder is not None:
            try:
                chunk = decoder.decode(chunk, final=last).encode()
            except ValueError:
                # Not chained: a codec's error holds the bytes it stumbled on.
                raise Unreadable("the document's bytes do not fit its encoding") from None
        prologue.check(chunk)
        if chunk:
            yield chunk
        chunk = following


def _chunks(body: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(body, bytes):
        for start in range(0, len(body), CHUNK_BYTES):
            yield body[start : start + CHUNK_BYTES]
        return
    while chunk := body.read(CHUNK_BYTES):
        yield chunk


def _encoding(head: bytes) -> tuple[str, int]:
    """Return the codec of a document by its first bytes, and how many of them are a byte order mark."""
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"<\0\0\0", b"\0\0\0<")):
        raise Unreadable(_REFUSED_ENCODING, remedy="send UTF-8")
    for mark, codec in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return codec, len(mark)
    if head[:2] == b"<\0":
        return "utf-16-le", 0
    if head[:2] == b"\0<":
        return "utf-16-be", 0
    declared = _DECLARED.match(head)
    if declared is None:
        return "utf-8", 0
    name = declared[1].decode()
    page = _CODE_PAGE.fullmatch(name)
    # Python's registry is not asked: it imports a module by the name it is given.
    if page is None and not _UTF_8.fullmatch(name):
        raise Unreadable(_REFUSED_ENCODING, remedy="send UTF-8")
    if page is None:
        return "utf-8", 0
    return (f"iso8859-{page[2]}" if page[2] else f"cp{page[3]}"), 0


class Prologue:
    """The part of a document before its root element, looked at as it comes in; keeps a few bytes only."""

    def __init__(self) -> None:
        self._rest = b""
        self._end = b""
        self._over = False

    def check(self, chunk: bytes) -> None:
        """Look at the next bytes (UTF-8); raise `Unreadable` for what may not stand before the root element."""
        if self._over:
            return
        rest = self._rest + chunk
        while True:
            if self._end:
                place = rest.find(self._end)
                if place < 0:
                    self._rest = rest[-2:]
                    return
                rest, self._end = rest[place + len(self._end) :], b""
            rest = rest.lstrip(_WHITE)
            if rest.startswith(b"<?"):
                rest, self._end = rest[2:], b"?>"
            elif rest.startswith(b"<!--"):
                rest, self._end = rest[4:], b"-->"
            elif rest in (b"", b"<", b"<!", b"<!-"):
                self._rest = rest
                return
            elif rest.startswith(b"<!"):
                raise Unreadable(
                    "the document has a document type declaration (DOCTYPE)", remedy="send it without one"
                )
            elif rest.startswith(b"<"):
                self._rest, self._over = b"", True
                return
            else:
                raise Unreadable("the document does not begin as XML does")
