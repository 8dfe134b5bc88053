"""Functions that may run elsewhere, and functions that may not: for the adaptive executor's tests."""

import functools
import os
import threading
import time

TABLE = {"a": 1}
LOCK = threading.Lock()
COUNT = 0
SEEN: list[int] = []


def add(a: int, b: int = 1) -> int:
    return a + b


def look_up(name: str) -> int:
    return TABLE[name]


def calls_helper(number: int) -> int:
    return add(number) + remembered(2)


@functools.lru_cache
def remembered(number: int) -> int:
    return number * 2


def count_up(number: int) -> int:
    global COUNT
    COUNT += number
    return COUNT


def note(number: int) -> int:
    SEEN.append(number)
    return number


def note_by_helper(number: int) -> int:
    return note(number) + 1


def locked(number: int) -> int:
    with LOCK:
        return number


def nothing(number: int) -> None:
    del number


def append_to(numbers: list[int]) -> int:
    numbers.append(1)
    return len(numbers)


def give_lock(number: int) -> object:
    del number
    return threading.Lock()


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def up(self, number: int) -> int:
        self.count += number
        return self.count

    def same(self, number: int) -> int:
        return self.count + number


def compute(number: int, rounds: int = 30_000) -> int:
    """Some milliseconds of Python."""
    total = number
    for i in range(rounds):
        total = (total * 31 + i) % 1_000_003
    return total


def compute_and_tell(number: int) -> tuple[int, int, int]:
    """And where: the process and the thread."""
    return compute(number), os.getpid(), threading.get_ident()


def compute_or_fail(number: int) -> int:
    if number % 50 == 7:
        raise ValueError(f"number {number}")
    return compute(number)


def compute_into(file: str, number: int) -> int:
    """Leaves a line for each time that it is called."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number}\n".encode())
    os.close(descriptor)
    return compute(number)


def compute_and_give_sometimes(number: int) -> object:
    compute(number)
    return number


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def compute_for_ever(number: int) -> int:
    while True:
        compute(number)
