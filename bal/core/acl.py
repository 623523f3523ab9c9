"""Rights as Mosquitto reads them: an access control list (mosquitto.conf(5), `acl_file`)."""

import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from bal.core.errors import Malformed
from bal.core.topics import NO_RIGHTS, Rights, is_filter

_IDENTITY = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f+#](?:[^\x00-\x1f\x7f-\x9f+#]{0,62}[^\s\x00-\x1f\x7f-\x9f+#])?"
)


def is_grantable(identity: str) -> bool:
    """Tell whether a list can name this identity and mean nobody else: at most 64 characters, no blank at its ends."""
    return _IDENTITY.fullmatch(identity) is not None


def acl_text(rights: Mapping[str, Rights]) -> str:
    """Return the list that grants exactly `rights` to identities, in a fixed order.

    Mosquitto strips lines: an identity or a topic that begins or ends with a blank would become another one and is left
    out. So is what is no filter.
    """
    lines = []
    for identity in sorted(filter(is_grantable, rights)):
        granted = rights[identity]
        lines.append(f"user {identity}")
        lines += [f"topic write {each}" for each in _filters(granted.publish)]
        lines += [f"topic read {each}" for each in _filters(granted.subscribe)]
    return "".join(f"{line}\n" for line in lines)


def parse_acl(text: str) -> dict[str, Rights]:
    """Return what a list written by `acl_text` grants; raise `Malformed` for any other line, with its number."""
    found: dict[str, Rights] = {}
    identity = ""
    for number, line in enumerate(text.split("\n"), 1):
        match line.split(" ", 2):
            case [""]:
                continue
            case ["#", *_]:
                continue
            case ["user", *_] if is_grantable(line[5:]):
                identity = line[5:]
                found.setdefault(identity, NO_RIGHTS)
            case ["topic", "write", topic] if identity and _filters([topic]):
                found[identity] |= Rights((topic,), ())
            case ["topic", "read", topic] if identity and _filters([topic]):
                found[identity] |= Rights((), (topic,))
            case _:
                message = f"line {number} of this list of rights is not one that the BAL writes"
                raise Malformed(
                    message, remedy="remove the file; the BAL it is of writes it anew at its start"
                )
    return found


def overlap(one: str, other: str) -> bool:
    """Tell whether some topic is matched by both filters."""
    for a, b in zip_longest(one.split("/"), other.split("/")):
        if "#" in {a, b}:
            return True
        if a is None or b is None or (a != b and "+" not in {a, b}):
            return False
    return True


def _filters(topics: Iterable[str]) -> list[str]:
    return sorted({topic for topic in topics if is_filter(topic) and topic == topic.strip()})
