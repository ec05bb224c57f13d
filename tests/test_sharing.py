"""Which film gets a free worker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.job.sharing import FEED_EVERY, STARVING_S, Candidate, choose


def film(name: str, priority: int = 0, warm: bool = False, waits: float = 0.0) -> Candidate:
    return Candidate(film=name, priority=priority, warm=warm, waits=waits)


def test_the_higher_priority_goes_first_then_the_loaded_model_then_the_order() -> None:
    assert choose([], feed=True) is None
    assert choose([film("a"), film("b", 1), film("c", 1)], feed=True).film == "b"
    assert choose([film("a"), film("b", warm=True)], feed=True).film == "b"
    assert choose([film("a", 1), film("b", warm=True)], feed=True).film == "a"
    assert choose([film("a"), film("b")], feed=True).film == "a"


def test_a_film_that_has_waited_long_goes_before_a_more_important_one() -> None:
    assert choose([film("a", 9), film("b", waits=STARVING_S - 1)], feed=True).film == "a"
    assert (
        choose([film("a", 9), film("b", waits=STARVING_S), film("c", waits=STARVING_S + 1)], feed=True).film
        == "c"
    )


def test_many_films_do_not_only_take_turns() -> None:
    """Once all have waited for long, three leases in four still go by priority."""
    films = [film("a", 9, waits=STARVING_S), *(film(name, waits=STARVING_S + 1) for name in "bcd")]
    chosen = [choose(films, feed=lease % FEED_EVERY == 0).film for lease in range(8)]
    assert chosen.count("a") == 6


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=6), st.integers(1, 3), st.floats(1, 400))
def test_none_starves(priorities: list[int], workers: int, task_s: float) -> None:
    """With endless work in every film, each is given a worker within a bound of its waiting."""
    now, served = 0.0, [0.0] * len(priorities)
    longest, leases = 0.0, 0
    busy: list[tuple[float, int]] = []
    for _ in range(300):
        while len(busy) < workers:
            running = {at for _, at in busy}
            films = [
                film(str(index), priority, waits=0.0 if index in running else now - served[index])
                for index, priority in enumerate(priorities)
            ]
            chosen = int(choose(films, feed=leases % FEED_EVERY == 0).film)
            leases += 1
            longest = max(longest, films[chosen].waits)
            busy.append((now + task_s, chosen))
        busy.sort()
        now, done = busy.pop(0)
        served[done] = now
    waiting = max(now - at for at in served)
    # In the worst case all others reach the limit at the same time and go before it, one lease in four.
    assert max(longest, waiting) <= STARVING_S + FEED_EVERY * task_s * (len(priorities) + 1)
