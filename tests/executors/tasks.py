"""Functions to submit: of a module, so that workers which share nothing with the caller can run them too."""

import concurrent.futures
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.executors.set_up_tasks import note


def echo(value: Any) -> Any:
    return value


def capture(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def fail(error: BaseException) -> None:
    raise error


def fail_deep(error: BaseException, depth: int) -> None:
    if depth:
        fail_deep(error, depth - 1)
    raise error


def inverse(number: float) -> float:
    return 1 / number


def begin_and_wait(begun: Any, gate: Any) -> bool:
    begun.set()
    return gate.wait(30)


def wait_at(gate: Any) -> bool:
    return gate.wait(30)


def wait_then(gate: Any, value: Any) -> Any:
    assert gate.wait(30)
    return value


def wait_then_fail(gate: Any, error: BaseException) -> None:
    assert gate.wait(30)
    raise error


def nothing() -> None:
    pass


class Falsy(Exception):
    """An exception that `if error:` overlooks."""

    def __bool__(self) -> bool:
        return False


class Empty(Exception):
    def __len__(self) -> int:
        return 0


class Unrelated(BaseException):
    """One that `except Exception` does not catch."""


def double_inside(pool: concurrent.futures.Executor, value: int) -> int:
    return pool.submit(echo, value * 2).result()


def nothing_of(value: Any) -> None:
    pass


def tally(path: str) -> int:
    """Counts on by one, in a file: workers that share nothing else have one count. Gives the number that it is now."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, b"x")
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    finally:
        os.close(descriptor)


def tallied(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


class Flaky:
    """Fails so many times, then gives how often it was called."""

    def __init__(self, path: str, failures: int, error: Callable[[int], BaseException] = ValueError) -> None:
        self.path = path
        self.failures = failures
        self.error = error

    @property
    def calls(self) -> int:
        return tallied(self.path)

    def __call__(self) -> int:
        calls = tally(self.path)
        if calls <= self.failures:
            raise self.error(calls)
        return calls


def fail_by_remainder(path: str, item: int) -> int:
    """The first none, one or two times."""
    if tally(path) <= item % 3:
        raise ValueError(item)
    return item


def note_the_time_and_fail(path: str) -> None:
    note(path, str(time.monotonic()))
    raise ValueError


def note_the_arguments_and_fail(path: str, *args: Any, **kwargs: Any) -> None:
    note(path, repr((args, kwargs)))
    kwargs.clear()
    raise ValueError


def spin_the_first_time(path: str) -> int:
    calls = tally(path)
    while calls == 1:
        pass
    return calls


def note_the_worker(path: str, *args: Any) -> None:
    note(path, f"{os.getpid()} {threading.get_ident()} {args}")


here = threading.local()


def get_ready() -> None:
    here.ready = True


def is_ready() -> bool:
    return here.ready


def begin_and_spin(begun: Any) -> None:
    begun.set()
    while True:
        pass


def begin_and_nap(begun: Any) -> None:
    begun.set()
    while True:
        time.sleep(0.05)


def nap(value: Any) -> Any:
    time.sleep(0.002)
    return value


def nap_or_spin_at(number: int, when: int) -> int:
    while number == when:
        pass
    time.sleep(0.01)
    return number
