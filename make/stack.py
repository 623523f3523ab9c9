"""Install the real servers whose tools are there, for the tests; tell of the others why not.

`STACK=0` leaves all out. In CI (`CI` is set) a server that cannot be installed is a failure; elsewhere its tests are skipped.
"""

import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bal.core.errors import BalError  # noqa: E402 - found by the line above
from bal.stack.layout import Layout, cache_path, default_stack  # noqa: E402
from bal.stack.server import Server  # noqa: E402
from bal.stack.servers import servers  # noqa: E402
from bal.stack.stack import Stack  # noqa: E402


def in_ci() -> bool:
    """Tell whether this runs in continuous integration."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def say(line: str) -> None:
    """Print a line at once, whatever reads it."""
    print(line, flush=True)


def install(layout: Layout, wanted: list[Server]) -> bool:
    """Install what can be; tell whether that was all."""
    waiting = Stack(layout, wanted).to_install()
    if not waiting:
        return True
    fit = []
    for server in waiting:
        lacks = server.missing()
        for lack in lacks:
            say(f"{server.name}: not installed: {lack.what} ({lack.found or 'not found'}): {lack.remedy}")
        if not lacks:
            fit.append(server)
    say(f"Installing the real servers into {layout.cache}")
    try:
        Stack(layout, fit).install(say)
    except BalError as error:
        say(error.diagnostics())
        return False
    return len(fit) == len(waiting)


def main() -> int:
    """Install; 0 unless something lacks in CI."""
    if os.environ.get("STACK") == "0":
        say("The real servers are left out (STACK=0)")
        return 0
    if install(Layout(default_stack(), cache_path()), servers()):
        return 0
    if in_ci():
        say("In CI the real servers are there: this is a failure (STACK=0 leaves them out)")
        return 1
    say("Tests of these servers will be skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
