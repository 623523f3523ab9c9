"""Phasor measurement units: the frames of a device as a function of seed, number and time.

The angle is a smooth curve through knots; frequency and its rate of change are that curve's first and second derivative
(IEC/IEEE 60255-118-1), so the measurands of a frame agree with one another before noise. Sags pull voltage magnitudes down.
"""

from typing import Final, NamedTuple

from bal.core.instant import MICROSECONDS, instant_text
from bal.simulate.seeded import between, draw, knot, wander

NOMINAL_VOLTAGE: Final = 11_547_005
"""Phase to neutral of a 20 kV grid, mV."""
NOMINAL_FREQUENCY: Final = 50_000_000
"""uHz."""
_KNOT: Final = 20 * MICROSECONDS
_SWING: Final = 60_000_000
"""Largest angle at a knot, 10^-6 degrees: the frequency drifts by some 15 mHz."""
_TURN: Final = 360_000_000
_PI: Final = 3_141_592_653_589_793
"""10^-15."""
_SAG_WINDOW: Final = 60 * MICROSECONDS
_SAG_ODDS: Final = 3
"""One window in so many has a sag."""
_PHASES: Final = "ABC"


class PmuReading(NamedTuple):
    """One measurand of a frame, exact."""

    component: str
    measurand: str
    phase: str
    text: str
    """The number as the message states it; the canonical value is the same without trailing zeros."""

    @property
    def value(self) -> str:
        """The canonical value."""
        text = self.text.rstrip("0").rstrip(".") if "." in self.text else self.text
        return "0" if text in {"-0", ""} else text


def device_name(number: int) -> str:
    """Return the name of PMU `number` (from 0)."""
    return f"pmu-{number + 1:04d}"


def fixed(amount: int, places: int) -> str:
    """Return `amount` / 10^`places` as a decimal with exactly `places` digits after the point."""
    whole, part = divmod(abs(amount), 10**places)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{places}d}"


def frame(seed: int, device: int, time: int) -> list[PmuReading]:
    """Return what PMU `device` measures at its busbar at `time` (microseconds): voltages, currents, frequency, ROCOF."""
    angle, frequency, rocof = _motion(seed, device, time)
    readings = []
    for place, phase in enumerate(_PHASES):
        magnitude = _voltage(seed, device, time, place)
        turned = _wrap(
            angle - place * _TURN // 3 + between(-20_000, 20_000, seed, "angle", device, place, time)
        )
        current = 180_000 + wander(seed, f"current {phase}", device, time, 30 * MICROSECONDS, 60_000)
        current += between(-200, 200, seed, "current", device, place, time)
        lag = 18_000_000 + wander(seed, f"lag {phase}", device, time, 60 * MICROSECONDS, 6_000_000)
        readings += [
            PmuReading("BUS1", "voltmagnitude", phase, fixed(magnitude, 3)),
            PmuReading("BUS1", "voltangle", phase, fixed(_radians(turned), 6)),
            PmuReading("BUS1", "currmagnitude", phase, fixed(current, 3)),
            PmuReading("BUS1", "currangle", phase, fixed(_radians(_wrap(turned - lag)), 6)),
        ]
    frequency += between(-500, 500, seed, "frequency", device, time)
    readings.append(PmuReading("BUS1", "frequency", "none", fixed(frequency, 6)))
    readings.append(PmuReading("BUS1", "rocof", "none", fixed(rocof, 6)))
    return readings


def message(seed: int, device: int, time: int) -> bytes:
    """Return the frame of PMU `device` at `time` (microseconds) as the JSON message it sends; numbers are exact."""
    rows = ", ".join(
        f'{{"component": "{component}", "measurand": "{measurand}", "phase": "{phase}", "data": {text}}}'
        for component, measurand, phase, text in frame(seed, device, time)
    )
    head = f'{{"device": "{device_name(device)}", "timestamp": "{instant_text(time)}"'
    return f'{head}, "readings": [{rows}]}}'.encode()


def sag(seed: int, device: int, time: int) -> tuple[int, int] | None:
    """Return (remaining voltage in thousandths, bits of the phases hit) during a sag, else None.

    40 to 90 % for 60 ms to 1 s on one, two or three phases: the range of EN 50160's dips.
    """
    window, into = divmod(time, _SAG_WINDOW)
    if draw(seed, "sag", device, window) % _SAG_ODDS:
        return None
    lasts = between(60_000, 1_000_000, seed, "sag lasts", device, window)
    begins = between(0, _SAG_WINDOW - lasts, seed, "sag begins", device, window)
    if not begins <= into < begins + lasts:
        return None
    return between(400, 900, seed, "sag depth", device, window), between(
        1, 7, seed, "sag phases", device, window
    )


def _voltage(seed: int, device: int, time: int, place: int) -> int:
    magnitude = NOMINAL_VOLTAGE + wander(seed, f"voltage {place}", device, time, 45 * MICROSECONDS, 150_000)
    hit = sag(seed, device, time)
    if hit and hit[1] >> place & 1:
        magnitude = magnitude * hit[0] // 1000
    return magnitude + between(-2_000, 2_000, seed, "voltage", device, place, time)


def _motion(seed: int, device: int, time: int) -> tuple[int, int, int]:
    """Return angle (10^-6 degrees), frequency (uHz) and its rate of change (uHz/s): a Catmull-Rom curve, in integers."""
    index, u = divmod(time, _KNOT)
    a, b, c, d = (knot(seed, "swing", device, index + step, _SWING) for step in (-1, 0, 1, 2))
    # With x = u / T:  2 angle = 2b + (c - a) x + (2a - 5b + 4c - d) x^2 + (3b - 3c + d - a) x^3
    first, second, third = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - 3 * c + d - a
    period = _KNOT
    angle = (2 * b * period**3 + first * u * period**2 + second * u**2 * period + third * u**3) // (
        2 * period**3
    )
    slope = (first * period**2 + 2 * second * u * period + 3 * third * u**2) * MICROSECONDS // (2 * period**3)
    bend = (2 * second * period + 6 * third * u) * MICROSECONDS**2 // (2 * period**3)
    return angle, NOMINAL_FREQUENCY + slope // 360, bend // 360


def _radians(angle: int) -> int:
    """Return `angle` (10^-6 degrees) in 10^-6 radians, rounded down."""
    return angle * _PI // (180 * 10**15)


def _wrap(angle: int) -> int:
    """Return `angle` (10^-6 degrees) turned into -180 to 180 degrees, -180 not included."""
    turned = angle % _TURN
    return turned - _TURN if turned > _TURN // 2 else turned
