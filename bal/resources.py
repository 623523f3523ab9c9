"""Files that come along with the package: configuration of the servers, migrations, schemas."""

import sys
from pathlib import Path

from bal.core.errors import Misconfigured

_SOURCE = Path(__file__).resolve().parent.parent
_INSTALLED = Path(sys.prefix) / "share" / "bal"


def resource(folder: str) -> Path:
    """Return where `scd`, `kafka`, `mosquitto` or `fabric-network` lies: beside the source, else where pip put it.

    `Misconfigured` when it is in neither place.
    """
    for place in (_SOURCE / folder, _INSTALLED / folder):
        if place.is_dir():
            return place
    message = "files that belong to this program are missing"
    raise Misconfigured(message, subject=folder, remedy="install it again")
