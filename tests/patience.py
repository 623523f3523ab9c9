"""How long a test waits for what must happen."""

from typing import Final

PATIENCE: Final = 180.0
"""Seconds: far longer than anything takes on a machine that does ten other things, so that its load fails no test."""
