import json
import math
from itertools import pairwise

from bal.core.value import is_canonical_value
from bal.simulate import pmu
from bal.simulate.plan import PmuPlan

START = 1_793_232_000_000_000
FRAMES = [pmu.frame(3, 1, START + index * 20_000) for index in range(50 * 120)]


def series(measurand: str, phase: str) -> list[float]:
    return [
        float(one.text)
        for frame in FRAMES
        for one in frame
        if (one.measurand, one.phase) == (measurand, phase)
    ]


def test_a_message_is_the_json_of_the_design_with_exact_numbers() -> None:
    plan = PmuPlan("pmu-a", 3, 2, START)
    message = plan.message(3)
    body = json.loads(message.payload, parse_float=str, parse_int=str)
    assert list(body) == ["device", "timestamp", "readings"]
    assert body["device"] == message.device == "pmu-0002"
    assert body["timestamp"] == "2026-10-29T00:00:00.020000Z"
    sent = [tuple(reading.values()) for reading in body["readings"]]
    assert sent == [tuple(one) for one in pmu.frame(3, 1, START + 20_000)]
    assert {tuple(reading) for reading in body["readings"]} == {("component", "measurand", "phase", "data")}
    assert len(sent) == len({row[:3] for row in sent}) == 14


def test_values_are_canonical() -> None:
    values = [one.value for frame in FRAMES[:500] for one in frame]
    assert all(map(is_canonical_value, values))
    assert pmu.PmuReading("", "", "", "-0.000000").value == "0"
    assert pmu.PmuReading("", "", "", "50.100000").value == "50.1"


def test_frequency_drifts_and_agrees_with_its_rate_of_change() -> None:
    frequency, rocof = series("frequency", "none"), series("rocof", "none")
    assert all(49.95 < value < 50.05 for value in frequency)
    assert max(frequency) - min(frequency) > 0.005
    for begin in range(0, len(frequency) - 100, 100):
        rise = (frequency[begin + 100] - frequency[begin]) / 2
        assert abs(rise - sum(rocof[begin : begin + 100]) / 100) < 0.0012


def test_frequency_is_how_fast_the_angle_turns() -> None:
    angle, frequency = series("voltangle", "A"), series("frequency", "none")
    for begin in range(0, len(angle) - 500, 500):
        turned = math.degrees(math.remainder(angle[begin + 500] - angle[begin], math.tau))
        drift = sum(value - 50 for value in frequency[begin : begin + 500]) * 0.02 * 360
        assert abs(turned - drift) < 0.2


def test_angles_stay_within_a_turn_and_phases_apart() -> None:
    a, b = series("voltangle", "A"), series("voltangle", "B")
    assert all(-math.pi < value <= math.pi for value in a + b)
    assert all(abs((one - other) % math.tau - math.tau / 3) < 0.002 for one, other in zip(a, b, strict=True))


def test_sags_come_and_go() -> None:
    hits = [
        (device, window)
        for device in range(5)
        for window in range(40)
        if any(pmu.sag(3, device, START + window * 60_000_000 + step * 50_000) for step in range(1200))
    ]
    assert 30 < len(hits) < 110
    device, window = hits[0]
    times = range(START + window * 60_000_000, START + (window + 1) * 60_000_000, 20_000)
    state = [pmu.sag(3, device, time) for time in times]
    inside = [time for time, hit in zip(times, state, strict=True) if hit]
    assert 60_000 <= len(inside) * 20_000 <= 1_020_000
    assert sum(bool(a) != bool(b) for a, b in pairwise([None, *state, None])) == 2
    remaining, phases = next(hit for hit in state if hit)
    for place, phase in enumerate("ABC"):
        values = {
            one.phase: float(one.text)
            for one in pmu.frame(3, device, inside[0])
            if one.measurand == "voltmagnitude"
        }
        share = values[phase] / 11_547 * 1000
        assert abs(share - (remaining if phases >> place & 1 else 1000)) < 20


def test_noise_is_there() -> None:
    voltage = series("voltmagnitude", "A")
    assert len(set(voltage)) > len(voltage) * 0.5


def test_frames_come_at_the_rate_without_drifting() -> None:
    plan = PmuPlan("pmu-a", 3, 2, START, rate=30)
    times = [plan.scope(number)[1] for number in range(0, 2 * 3000, 2)]
    assert times[30] == START + 1_000_000
    assert times[2999] == START + 99_966_666
    assert {b - a for a, b in pairwise(times)} == {33_333, 33_334}
