"""Many things, some at a time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tounum_tasks.batches import in_order, read_ahead


def test_results_come_in_the_order_of_the_things() -> None:
    def slow_if_even(number: int) -> int:
        time.sleep(0.02 * (number % 2 == 0))
        return -number

    with ThreadPoolExecutor(3) as pool:
        assert list(in_order(pool, slow_if_even, range(20), ahead=4)) == [-number for number in range(20)]


def test_the_pool_works_while_a_result_is_looked_at_and_no_further_than_it_was_told() -> None:
    begun: list[int] = []
    sixth = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 5:
            sixth.set()
        return number

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(100), ahead=5)
        assert next(results) == 0
        assert sixth.wait(10)  # while nobody asks for more
        time.sleep(0.05)
        assert begun == [0, 1, 2, 3, 4, 5]


def test_what_a_thing_raises_is_raised_in_its_turn_and_nothing_is_begun_afterwards() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.1)
        if number == 2:
            raise ValueError("two")
        return number

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(9), ahead=6)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            next(results)
    assert begun in ([0, 1, 2], [0, 1, 2, 3])


def test_the_next_thing_is_fetched_while_one_is_looked_at() -> None:
    fetched: list[int] = []
    second = threading.Event()

    def things() -> Iterator[int | None]:
        for number in range(4):
            fetched.append(number)
            if number == 1:
                second.set()
            yield number or None

    ahead = read_ahead(things())
    assert next(ahead) is None
    assert second.wait(10)  # while nobody asks for more
    time.sleep(0.05)
    assert fetched == [0, 1]
    assert list(ahead) == [1, 2, 3]
    assert list(read_ahead([])) == []


def test_what_fetching_raises_is_raised_in_its_turn() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    ahead = read_ahead(things())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="two"):
        next(ahead)
