"""Functions for test_explain.py: each for one thing that there is to say."""

import threading
import time
from collections.abc import Iterator

TABLE = {"a": 1}
LOCK = threading.Lock()
COUNT = 0
double = lambda number: 2 * number  # noqa: E731
constant = 3


def add(a: int, b: int = 1) -> int:
    return a + b


def look_up(name: str) -> int:
    return TABLE[name]


def count_up() -> int:
    global COUNT
    COUNT += 1
    return COUNT


def locked() -> int:
    with LOCK:
        return 1


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def read(file: str) -> str:
    with open(file) as opened:
        return opened.read()


def fetch(url: str) -> bytes:
    from urllib.request import urlopen

    with urlopen(url) as response:
        return response.read()


def late() -> object:
    import numpy as np

    return np.zeros(3)


def numbers(most: int) -> Iterator[int]:
    yield from range(most)


async def soon() -> int:
    return 1


def give_lock() -> object:
    return threading.Lock()


def compute(rounds: int) -> int:
    total = 0
    for i in range(rounds):
        total = (total * 31 + i) % 1_000_003
    return total


class Shape:
    def area(self) -> int:
        return 1
