"""Chance that can be drawn again: integers that depend on a seed and a place, never on the order of drawing."""

from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist

_BITS = 64
_NORMAL = NormalDist()


def draw(seed: int, *place: int | str) -> int:
    """Return the 64 bits that `seed` holds for `place`: BLAKE2b (RFC 7693) over both, so the same on every machine."""
    text = "\0".join(map(str, (seed, *place)))
    return int.from_bytes(blake2b(text.encode(), digest_size=_BITS // 8).digest(), "big")


def between(low: int, high: int, seed: int, *place: int | str) -> int:
    """Return an integer from `low` to `high`, both included."""
    return low + (draw(seed, *place) * (high - low + 1) >> _BITS)


def normal(seed: int, *place: int | str) -> float:
    """Return a number of the standard normal distribution."""
    return _NORMAL.inv_cdf((draw(seed, *place) + 0.5) / 2**_BITS)


@lru_cache(maxsize=1 << 16)
def knot(seed: int, label: str, number: int, index: int, amplitude: int) -> int:
    """Return the value of a wandering quantity at its knot `index`, from `-amplitude` to `amplitude`."""
    return between(-amplitude, amplitude, seed, label, number, index)


def wander(seed: int, label: str, number: int, time: int, spacing: int, amplitude: int) -> int:
    """Return a value that wanders within +-`amplitude`: straight lines between knots `spacing` apart (units of `time`)."""
    index, into = divmod(time, spacing)
    left = knot(seed, label, number, index, amplitude)
    right = knot(seed, label, number, index + 1, amplitude)
    return left + (right - left) * into // spacing
