"""Identifiers of measuring points, as one text: what a pseudonym is made from and what people ask by."""

from collections.abc import Iterable


def name_identifier(name: str, name_type: str = "", authority: str = "") -> str:
    """Return the identifier that stands for a CIM name of a type under an authority (IEC 61970-301 `Name`).

    `12345` without a type, `12345@MeterID` with one, `12345@MeterID@DSO` with both; `%` and `@` within the parts are
    written `%25` and `%40`.
    """
    parts = [name, name_type, authority]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    if len(parts) == 1:
        return name
    return "@".join(part.replace("%", "%25").replace("@", "%40") for part in parts)


def point_identifier(mrid: str, names: Iterable[tuple[str, str, str]]) -> str:
    """Return the identifier of a usage point or meter: its mRID, else its first name; empty where it has neither.

    First by (authority, type, name), so that the order a document lists them in does not matter. `names` are (name,
    type, authority).
    """
    if mrid:
        return mrid
    known = sorted((authority, name_type, name) for name, name_type, authority in names if name)
    return name_identifier(known[0][2], known[0][1], known[0][0]) if known else ""
