"""Stops the real servers of a test session whose process was killed: it ends when the session's end of the pipe is gone.

Run as `python -m tests.reaper STACK`, its standard input held open by the session.
"""

import sys
from pathlib import Path

from bal.stack import left
from bal.stack.layout import Layout


def main() -> None:
    """Wait for the session's end, however it ends; stop what has a pid file even then."""
    layout = Layout(Path(sys.argv[1]), Path(sys.argv[1]) / "no-cache")
    sys.stdin.read()
    processes = left.named(layout)
    sessions = [process.pid for process in processes if process.pid]
    for process in reversed(processes):
        process.stop()
    left.end(sessions)


if __name__ == "__main__":
    main()
