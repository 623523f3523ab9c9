"""Quality rules: digest, flags, refusals."""

import pytest
from pydantic import ValidationError

from bal.core.quality import (
    AllowedTypes,
    ClockSkew,
    IntervalGrid,
    QualityRules,
    RuleBroken,
    ValueRange,
    is_quality_code,
    join_codes,
)
from bal.core.reading import Reading

SECOND = 1_000_000
NOW = 1_770_000_000 * SECOND
READING = Reading("dso-a", "p", "", "activePower", "activepower", "A", "5", "W", NOW, 0, "", NOW)


def test_the_digest_follows_the_rules_and_nothing_else() -> None:
    rules = QualityRules(ranges=(ValueRange(quantity="activePower", minimum="-1.0", maximum="10"),))
    same = QualityRules.model_validate(rules.model_dump(mode="json"))
    assert rules.digest() == same.digest()
    assert len(rules.digest()) == 64
    assert QualityRules().digest() != rules.digest()
    assert ValueRange(quantity="q", minimum="1.0") == ValueRange(quantity="q", minimum="1")


def test_nothing_to_say() -> None:
    assert QualityRules().check(READING) == ()
    assert QualityRules().only_clock


@pytest.mark.parametrize(
    "rules, change, flag",
    [
        ({"ranges": (ValueRange(quantity="activePower", maximum="4.999"),)}, {}, "bal.rule-range"),
        ({"ranges": (ValueRange(quantity="activePower", minimum="5.001"),)}, {}, "bal.rule-range"),
        ({"ranges": (ValueRange(quantity="activePower", minimum="5", maximum="5"),)}, {}, None),
        ({"ranges": (ValueRange(quantity="voltageMagnitude", maximum="0"),)}, {}, None),
        ({"allowed": AllowedTypes(types=("frequency",), action="flag")}, {}, "bal.rule-type"),
        ({"allowed": AllowedTypes(types=("activepower",), action="flag")}, {}, None),
        ({"allowed": AllowedTypes(types=("activePower",), action="flag")}, {}, None),
        ({}, {"timestamp": NOW + 300 * SECOND}, None),
        ({}, {"timestamp": NOW + 300 * SECOND + 1}, "bal.rule-future"),
        ({"clock": ClockSkew(age=60)}, {"timestamp": NOW - 60 * SECOND}, None),
        ({"clock": ClockSkew(age=60)}, {"timestamp": NOW - 60 * SECOND - 1}, "bal.rule-age"),
        ({"grid": IntervalGrid(seconds=900)}, {"timestamp": NOW - NOW % (900 * SECOND)}, None),
        ({"grid": IntervalGrid(seconds=900)}, {"timestamp": NOW - NOW % (900 * SECOND) + 1}, "bal.rule-grid"),
        ({"grid": IntervalGrid(seconds=900, quantities=("frequency",))}, {"timestamp": NOW + 1}, None),
    ],
)
def test_flags(rules: dict[str, object], change: dict[str, int], flag: str | None) -> None:
    found = QualityRules(**rules).check(READING._replace(**change))  # type: ignore[arg-type]
    assert found == (() if flag is None else (flag,))


@pytest.mark.parametrize(
    "rules, timestamp",
    [
        ({"ranges": (ValueRange(quantity="activePower", maximum="1", action="quarantine"),)}, NOW),
        ({"allowed": AllowedTypes(types=("frequency",))}, NOW),
        ({"clock": ClockSkew(future_action="quarantine")}, NOW + 301 * SECOND),
        ({}, NOW + 86_401 * SECOND),
        ({"clock": ClockSkew(age=0, age_action="quarantine")}, NOW - 1),
        ({"grid": IntervalGrid(seconds=60, action="quarantine")}, NOW + 1),
    ],
)
def test_quarantine(rules: dict[str, object], timestamp: int) -> None:
    with pytest.raises(RuleBroken):
        QualityRules(**rules).check(READING._replace(timestamp=timestamp))  # type: ignore[arg-type]


def test_the_clock_is_trouble_free_exactly_where_it_says_so() -> None:
    for clock in (ClockSkew(), ClockSkew(age=10), ClockSkew(future=0, future_limit=None)):
        rules = QualityRules(clock=clock)
        earliest, latest = rules.trouble_free(NOW)
        assert rules.check(READING._replace(timestamp=latest)) == ()
        assert rules.check(READING._replace(timestamp=latest + 1)) == ("bal.rule-future",)
        if clock.age is not None:
            assert rules.check(READING._replace(timestamp=earliest)) == ()
            assert rules.check(READING._replace(timestamp=earliest - 1)) == ("bal.rule-age",)


@pytest.mark.parametrize(
    "rule, members",
    [
        (ValueRange, {"quantity": "q", "minimum": "x"}),
        (ValueRange, {"quantity": "q", "minimum": "2", "maximum": "1"}),
        (ValueRange, {"quantity": "q", "minimum": "1" * 40}),
        (AllowedTypes, {"types": ()}),
        (ClockSkew, {"future": -1}),
        (IntervalGrid, {"seconds": 0}),
        (QualityRules, {"unknown": 1}),
    ],
)
def test_wrong_rules(rule: type, members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rule(**members)


def test_codes() -> None:
    assert is_quality_code("1.4.6")
    assert not is_quality_code("")
    assert not is_quality_code("a b")
    assert not is_quality_code("x" * 33)
    assert join_codes(["b", "a", "b"]) == "a b"
