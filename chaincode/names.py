"""Names of sources, logs, devices and parties: fit for MQTT, Kafka, certificates, files and addresses."""

from __future__ import annotations

import re
from typing import Final

from chaincode.errors import ContractError

MAX_NAME: Final = 48
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")


def is_name(value: object) -> bool:
    """Tell whether `value` is a name: `[a-z0-9][a-z0-9-]{0,47}`, nothing before or after."""
    return type(value) is str and _NAME.fullmatch(value) is not None


def check_name(value: object, what: str = "name") -> str:
    """Return `value` if it is a name, else raise ContractError (malformed) telling `what` it was to name."""
    if type(value) is str and _NAME.fullmatch(value) is not None:
        return value
    shown = ascii(value)[:60] if type(value) is str else type(value).__name__
    raise ContractError("malformed", f"{what} {shown} is no name: use a-z, 0-9 and -, at most {MAX_NAME}")
