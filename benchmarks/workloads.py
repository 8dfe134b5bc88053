"""The functions that tasks call.

All of them are at module level and touch nothing but their arguments and locals, so that on a free-threaded build
nothing is shared between workers but the function object itself, as in a program written for it.
"""

from __future__ import annotations


def empty() -> None:
    """Nothing: all the time is the executor's."""


def increment(x: int) -> int:
    """As little as a function with an argument can do."""
    return x + 1


def ten_microseconds(x: int) -> int:
    """About 10 µs of pure Python."""
    total = x
    for i in range(400):
        total += i & 7
    return total


def crunch(x: int) -> int:
    """About 5 ms of pure Python."""
    total = x
    for i in range(120_000):
        total += i & 7
    return total


def echo[T](thing: T) -> T:
    """There and back."""
    return thing
