"""Bad input is refused where it comes in: at once, and the error names the argument and says what would do.

For what the calling process looks at itself. What cannot be sent to a worker: tests/payloads/test_culprits.py.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import weft
from tests.lateness import check_within
from weft.executors import ThreadPoolExecutor

AT_ONCE = 0.1  # seconds


def wait_for_one_that_runs(pool: ThreadPoolExecutor, method: str, timeout: Any) -> None:
    gate = threading.Event()
    future = pool.submit(gate.wait, 20)
    try:
        getattr(future, method)(timeout)
    finally:
        gate.set()


WAITS: dict[str, Callable[[ThreadPoolExecutor, Any], object]] = {
    "result": lambda pool, timeout: wait_for_one_that_runs(pool, "result", timeout),
    "exception": lambda pool, timeout: wait_for_one_that_runs(pool, "exception", timeout),
    "map": lambda pool, timeout: pool.map(abs, [1], timeout=timeout),
}

# What is wrong here is so to a type checker too.
threads: Any = ThreadPoolExecutor
init: Any = weft.init
group: Any = weft.TaskGroup
run: Any = weft.Run

CASES: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "max_workers": (
        lambda _: threads("4"),
        TypeError,
        "max_workers must be a whole number or None, not '4'",
    ),
    "no workers": (lambda _: threads(0), ValueError, "max_workers must be greater than 0"),
    "max_pending": (
        lambda _: threads(1, max_pending=0),
        ValueError,
        "max_pending=0 is not valid: give a number from 1 to",
    ),
    "initializer": (lambda _: threads(1, initializer=5), TypeError, "initializer must be a callable, not 5"),
    "initargs": (
        lambda _: threads(1, initializer=print, initargs=5),
        TypeError,
        "initargs must be a tuple of arguments, not 5; a single one is (5,)",
    ),
    "initargs, a string": (
        lambda _: init(initializer=print, initargs="db"),
        TypeError,
        "initargs must be a tuple of arguments, not 'db'; a single one is ('db',)",
    ),
    "submit": (
        lambda pool: pool.submit(5),
        TypeError,
        "fn must be callable, not 5; pass the function and its arguments apart",
    ),
    "map": (lambda pool: pool.map(5, [1]), TypeError, "fn must be callable, not 5"),
    "chunksize": (
        lambda pool: pool.map(abs, [1], chunksize="2"),
        TypeError,
        "chunksize must be an integer or None, not '2'",
    ),
    "buffersize": (lambda pool: pool.map(abs, [1], buffersize=0), ValueError, "buffersize must be None or > 0, not 0"),
    "options": (lambda pool: pool.options(timeout=-1), ValueError, "give seconds, more than 0"),
    "group": (lambda _: group(5), ValueError, "give a concurrent.futures.Executor"),
    "flavor": (lambda _: run(flavor="thread"), ValueError, "did you mean 'threads'?"),
    **{
        f"{how}, {shown}": (
            lambda pool, wait=wait, timeout=timeout: wait(pool, timeout),
            error,
            f"timeout must be a number of seconds or None, not {shown}",
        )
        for how, wait in WAITS.items()
        for timeout, shown, error in [("x", "'x'", TypeError), ([1], "[1]", TypeError), (math.nan, "nan", ValueError)]
    },
}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_at_once_with_the_argument_and_the_remedy(pool: ThreadPoolExecutor, case: str) -> None:
    call, error, words = CASES[case]
    began = time.monotonic()
    with pytest.raises(error, match=re.escape(words)):
        call(pool)
    check_within(time.monotonic() - began, AT_ONCE, case)
    assert pool.submit(abs, -1).result(20) == 1


@pytest.mark.parametrize("timeout", [math.inf, 1e12])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_timeout_may_be_longer_than_a_lock_can_wait(pool: ThreadPoolExecutor, ordered: bool, timeout: float) -> None:
    assert sorted(pool.map(abs, range(100), timeout=timeout, ordered=ordered)) == list(range(100))
