"""Functions to submit: of a module, so that workers which share nothing with the caller can run them too."""

import concurrent.futures
import time
from typing import Any


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


def nap(value: Any) -> Any:
    time.sleep(0.002)
    return value
