"""Type texts: which of the texts of a `ReadingType` element is its CIM code."""

from collections.abc import Mapping, Sequence
from typing import Final

from bal.core.errors import Malformed
from bal.core.reading_type import ATTRIBUTE_NAMES, decode, encode

_ATTRIBUTES: Final = frozenset(ATTRIBUTE_NAMES)


def is_code(text: str) -> bool:
    """Tell whether `text` is a CIM reading type code."""
    try:
        decode(text)
    except Malformed:
        return False
    return True


def code_of(reference: str, texts: Mapping[str, str], names: Sequence[tuple[str, str, str]]) -> str:
    """Return the code of a reading type given as reference, mRID, names, or attribute by attribute.

    Where none of these is a code, return the text by which the document may define the type elsewhere; empty for none.
    """
    reference = reference.strip()
    if reference and not texts and not names:
        return reference
    candidates = [
        text for text in (reference, texts.get("mRID", "").strip(), *(name[0] for name in names)) if text
    ]
    for candidate in candidates:
        if is_code(candidate):
            return candidate
    attributes = {name: text for name, text in texts.items() if name in _ATTRIBUTES}
    if attributes:
        try:
            return encode(attributes)
        except Malformed:
            pass
    return candidates[0] if candidates else ""
