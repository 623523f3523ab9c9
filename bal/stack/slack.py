"""How much later than it asked the kernel may wake whoever waits for a time: many short waits become few."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Source: linux/prctl.h
_SET: Final = 29
_GET: Final = 30


@contextmanager
def timer_slack(nanoseconds: int) -> Iterator[None]:
    """Give the processes that the calling thread starts in this block a timer slack, in nanoseconds; 0 leaves it.

    They and their threads inherit it from that thread, which has its own again afterwards. Only Linux knows it: elsewhere
    nothing changes. Source: prctl(2), PR_SET_TIMERSLACK.
    """
    if nanoseconds == 0 or sys.platform != "linux":
        yield
        return
    kernel = ctypes.CDLL(None)
    before = kernel.prctl(_GET, 0, 0, 0, 0)
    kernel.prctl(_SET, ctypes.c_ulong(nanoseconds), 0, 0, 0)
    try:
        yield
    finally:
        kernel.prctl(_SET, ctypes.c_ulong(before), 0, 0, 0)
