"""How often Python looks for objects that hold each other: seldom."""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
"""Containers made and not yet freed before the young ones are looked through; Python's own figure is 700."""
_YOUNGER: Final = 20
"""Passes over a generation before the next one is looked through."""


def collect_seldom() -> None:
    """Leave what lives now out of every search, and search seldom for what comes.

    Readings and their proofs are plain data by the hundred thousand: none holds another, all are freed as they are let go.
    Looking through them for cycles took a seventh of the CPU of the service.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _YOUNGER, _YOUNGER)
