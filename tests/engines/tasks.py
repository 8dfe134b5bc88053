"""What workers of engines run: they import this module."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from weft.pipelines import Pipeline, node


def keep(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def pid() -> int:
    return os.getpid()


def fail(text: str) -> None:
    raise LookupError(text) from KeyError("why")


def invert(x: float) -> float:
    return 1 / x


class Odd(Exception):
    """Cannot be rebuilt from its args."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")
        self.one, self.other = one, other


def fail_oddly() -> None:
    raise Odd(1, 2)


def lock() -> Any:
    return threading.Lock()


def leave() -> None:
    raise SystemExit(3)


def until_there(path: str, seconds: float = 30) -> float:
    """Waits for a file."""
    began = time.monotonic()
    while not Path(path).exists():
        if time.monotonic() - began > seconds:
            raise TimeoutError(path)
        time.sleep(0.01)
    return time.monotonic() - began


def touch_and_wait(path: str, other: str) -> float:
    Path(path).touch()
    return until_there(other)


def spin(seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def fail_first(path: str, times: int) -> int:
    """Fails so often, counted in a file, and then gives how often it was tried."""
    with Path(path).open("a") as file:
        file.write("x")
    tried = len(Path(path).read_text())
    if tried <= times:
        raise LookupError(f"try {tried}")
    return tried


def die_once(path: str) -> str:
    """Ends the process that it runs in, the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os._exit(9)
    return "alive"


def die() -> None:
    os._exit(9)


# ---- nodes ---------------------------------------------------------------------------------------------------


class Unmovable:
    """Cannot leave the process that has made it."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        raise TypeError("this stays where it is")


@node(output_name="wrapped")
def wrap(x: int) -> Unmovable:
    return Unmovable(x)


@node(output_name="value")
def unwrap(wrapped: Unmovable) -> int:
    return wrapped.value


@node(output_name="left")
def left(x: int) -> int:
    return x + 1


@node(output_name="right")
def right(x: int) -> int:
    return x + 2


@node(output_name="both")
def both(left: int, right: int) -> tuple[int, int]:
    return left, right


@node(output_name="inverse")
def inverse(x: float) -> float:
    return 1 / x


@node(output_name="later")
def later(inverse: float) -> float:
    return inverse + 1


@node(output_name="slept")
def sleep(x: float) -> float:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        time.sleep(0.01)
    return x


@node(output_name="tried")
def flaky(path: str, times: int) -> int:
    return fail_first(path, times)


@node(output_name="counted")
def counted(x: int, path: str) -> int:
    with Path(path).open("a") as file:
        file.write("x")
    return x + 1


@node(output_name="where")
def where(x: int) -> int:
    return os.getpid()


@node(output_name="lived")
def dying(x: int, path: str) -> str:
    return die_once(path)


diamond = Pipeline([left, right, both], name="diamond")
failing = Pipeline([inverse, later, left], name="failing")
boxed = Pipeline([wrap, unwrap], name="boxed")
