from bal.fabric.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_works_is_always_ready() -> None:
    backoff = Backoff(Clock())
    assert all(backoff.ready() for _ in range(3))


def test_what_failed_rests_and_then_one_may_try() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    backoff.failed()
    assert not backoff.ready()
    clock.now += FIRST_SECONDS
    assert backoff.ready()
    assert not backoff.ready()


def test_it_rests_longer_each_time_up_to_a_limit() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    backoff.failed()
    rests = []
    for _ in range(12):
        began = clock.now
        while not backoff.ready():
            clock.now += 0.25
        rests.append(clock.now - began)
        backoff.failed()
    assert rests == sorted(rests)
    assert rests[:3] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    assert rests[-1] == LONGEST_SECONDS


def test_calls_in_flight_that_fail_together_count_as_one() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    for _ in range(200):
        backoff.failed()
    clock.now += FIRST_SECONDS
    assert backoff.ready()


def test_success_ends_it() -> None:
    backoff = Backoff(Clock())
    backoff.failed()
    backoff.worked()
    assert backoff.ready()
