from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bal.simulate.seeded import between, draw, normal, wander


@given(st.integers(), st.integers(-1000, 1000), st.integers(0, 1000), st.integers(0, 10**9))
def test_between_stays_between(seed: int, low: int, width: int, place: int) -> None:
    assert low <= between(low, low + width, seed, "x", place) <= low + width


def test_a_draw_depends_on_every_part_of_its_place_and_on_nothing_else() -> None:
    assert draw(1, "a", 2) == draw(1, "a", 2) == 11958973846514092248
    assert (
        len(
            {
                draw(1, "a", 2),
                draw(2, "a", 2),
                draw(1, "b", 2),
                draw(1, "a", 3),
                draw(1, "a"),
                draw(1, "a", 2, 0),
            }
        )
        == 6
    )


def test_normal_has_the_spread_it_says() -> None:
    drawn = [normal(3, number) for number in range(4000)]
    assert abs(sum(drawn) / 4000) < 0.1
    assert 0.9 < sum(value * value for value in drawn) / 4000 < 1.1


def test_a_wandering_value_keeps_its_bounds_and_makes_no_jumps() -> None:
    walk = [wander(5, "x", 0, time, 1000, 500) for time in range(0, 20_000, 10)]
    assert max(map(abs, walk)) <= 500
    assert max(abs(a - b) for a, b in pairwise(walk)) <= 11
    assert len(set(walk)) > 100
