import sys
import warnings
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from bal.core.errors import Misconfigured
from bal.simulate import profile
from bal.simulate.meter import meter, readings, register
from bal.simulate.profile import YEAR_SHARE, accumulated, cumulative


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("name", ["H25", "G25", "L25", "P25", "S25", "PV"])
@pytest.mark.parametrize(("year", "quarters"), [(2026, 35_040), (2028, 35_136)])
def test_a_year_has_its_quarter_hours_and_sums_to_one(
    name: profile.Profile, year: int, quarters: int
) -> None:
    table = cumulative(name, year)
    assert len(table) == quarters + 1
    assert (table[0], table[-1]) == (0, YEAR_SHARE)
    assert all(a <= b for a, b in pairwise(table))


def test_the_shape_is_that_of_demandlib() -> None:
    import demandlib.bdew
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quarters = pd.date_range("2026-02-02", periods=96, freq="15min")
        power = demandlib.bdew.G25(quarters)
    table = cumulative("G25", 2026)
    first = (31 + 1) * 96
    ours = [b - a for a, b in pairwise(table[first : first + 97])]
    ratios = [share / float(value) for share, value in zip(ours, power, strict=True)]
    assert max(ratios) / min(ratios) < 1.000001


def test_a_holiday_is_no_working_day() -> None:
    table = cumulative("G25", 2026)
    noon = [table[day * 96 + 49] - table[day * 96 + 48] for day in range(365)]
    # Good Friday, 3 April 2026, against the Friday after it
    assert noon[31 + 28 + 31 + 2] < 0.8 * noon[31 + 28 + 31 + 9]


def test_the_sun_does_not_shine_at_night() -> None:
    midnight, noon = at("2026-06-21T23:00"), at("2026-06-21T11:15")
    assert accumulated("PV", midnight) == accumulated("PV", midnight + 7200)
    assert accumulated("PV", noon + 900) > accumulated("PV", noon)


def test_energy_accumulates_across_years_without_a_jump() -> None:
    turn = at("2026-12-31T23:00")
    steps = [accumulated("H25", turn + second) for second in range(-1800, 1801, 60)]
    assert all(0 < b - a < YEAR_SHARE // 100_000 for a, b in pairwise(steps))
    assert accumulated("H25", at("2027-12-31T23:00")) - accumulated("H25", turn) == YEAR_SHARE


@pytest.mark.parametrize("number", range(6))
def test_a_meter_uses_in_a_year_what_it_is_said_to_use(number: int) -> None:
    who = meter(7, number)
    first, last = at("2025-12-31T23:00"), at("2026-12-31T23:00")
    used = register(7, who, last) - register(7, who, first)
    assert abs(used - who.consumption) < who.consumption * 0.002
    if who.feed_in:
        fed = register(7, who, last, export=True) - register(7, who, first, export=True)
        assert abs(fed - who.feed_in) <= 1


def test_quarter_hours_add_up_to_the_register() -> None:
    who = meter(7, 3)
    ends = range(at("2026-06-01T00:15"), at("2026-06-02T00:15"), 900)
    day = [{reading.reading_type: reading for reading in readings(7, who, end)} for end in ends]
    for energy, shown in (
        ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0", "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),
        ("0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0", "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0"),
    ):
        amounts = [int(quarter[energy].value) for quarter in day]
        assert min(amounts) >= 0
        assert len(set(amounts)) > 20
        assert sum(amounts[1:]) == int(day[-1][shown].value) - int(day[0][shown].value)


def test_a_fleet_is_mixed() -> None:
    fleet = [meter(7, number) for number in range(2000)]
    assert {who.profile for who in fleet} == {"H25", "G25", "L25", "P25", "S25"}
    assert 0.1 < sum(bool(who.feed_in) for who in fleet) / 2000 < 0.3
    homes = sorted(who.consumption for who in fleet if who.profile == "H25")
    assert 2_700_000 < homes[len(homes) // 2] < 3_300_000
    assert homes[0] < 1_500_000
    assert homes[-1] > 6_000_000
    assert len({who.point for who in fleet} | {("", who.serial) for who in fleet}) == 4000
    assert {len(who.usage_point) for who in fleet} == {0, 33}
    assert {len(who.serial) for who in fleet} == {14}


def test_without_demandlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cumulative.cache_clear()
    monkeypatch.setitem(sys.modules, "demandlib.bdew", None)
    with pytest.raises(Misconfigured, match=r"bal\[demo\]"):
        cumulative("H25", 2026)
    cumulative("PV", 2026)


def test_the_filters_of_warnings_stay_as_they_were() -> None:
    cumulative.cache_clear()
    before = list(warnings.filters)
    cumulative("P25", 2026)
    assert list(warnings.filters) == before
