"""Garbage that holds itself is still found, seldom."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from bal.garbage import collect_seldom


class Held:
    """Something that may hold itself."""

    def __init__(self) -> None:
        self.held: object = None


@pytest.fixture(autouse=True)
def _collected_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)


def test_what_holds_itself_goes_though_later_than_python_would() -> None:
    collect_seldom()
    circle = Held()
    circle.held = circle
    gone = weakref.ref(circle)
    del circle
    kept: list[object] = [[] for _ in range(10_000)]
    assert gone() is not None
    kept += [[] for _ in range(50_000)]
    assert gone() is None


def test_what_lives_by_now_is_left_out_of_every_search() -> None:
    before = gc.get_freeze_count()
    living = [Held() for _ in range(1_000)]
    collect_seldom()
    assert gc.get_freeze_count() >= before + len(living)
