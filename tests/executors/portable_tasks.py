"""Functions that may run elsewhere, and functions that may not: for the adaptive executor's tests."""

import contextvars
import functools
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from tests.executors import portable_settings

TABLE = {"a": 1}
LIMIT = 100
FILLED = {"a": 1}
WEIGHTS = [3, 1, 2]
ROWS = {"a": [1, 2]}
STARTED_BY = os.getpid()
MISSING = object()
WORD = re.compile(r"\w+")
VIEW = MappingProxyType({"a": 1})
LOCK = threading.Lock()
COUNT = 0
SEEN: list[int] = []
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)


def add(a: int, b: int = 1) -> int:
    return a + b


def look_up(name: str) -> int:
    return TABLE[name]


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Fixed:
    """A callable of which nothing can be changed."""

    function: Callable[[int], int]

    def __call__(self, number: int) -> int:
        return self.function(number)


@dataclass
class Settings:
    """Of which something can."""

    scale: int = 2
    names: list[str] = field(default_factory=list[str])

    def rescale(self) -> int:
        self.scale += 1
        return self.scale


class Counting:
    calls = 0

    def __call__(self, number: int) -> int:
        Counting.calls += 1
        return number


class Locking:
    lock = threading.Lock()

    def alone(self, number: int) -> int:
        with self.lock:
            return number


SETTINGS = Settings()
KINDS: dict[type, Callable[[int], int]] = {int: lambda number: number + WEIGHTS[0], str: abs}
ALL_KINDS = frozenset[type]({int, str, Colour})


def by_kind(number: int) -> int:
    return KINDS[type(number)](number) if type(number) in ALL_KINDS else 0


def among_constants(number: int) -> int:
    table = VIEW
    return number % LIMIT + len(WORD.findall("a b")) + table["a"] + Colour.RED.value + SETTINGS.scale


def fixed(number: int) -> int:
    return FIXED(number)


def reads_in_many_ways(number: int) -> int:
    names = TABLE
    total = sum(WEIGHTS) + len(names) + max(*WEIGHTS, number) + names.get("b", 0)
    for key in sorted(TABLE):
        total += TABLE[key]
    for row in ROWS.values():
        total += sum(row)
    return total + sum(1 for key in ROWS if key in TABLE)


def fills_seldom(number: int) -> int:
    if number > 1000:
        FILLED["b"] = number
    return FILLED["a"]


def fills_seldom_by_another_name(number: int) -> int:
    rows = ROWS
    if number > 1000:
        row = rows.get("a", [])
        row.append(number)
    return number


def hands_on(number: int) -> int:
    return note_in(FILLED, number)


def note_in(table: dict[str, int], number: int) -> int:
    return table["a"] + number


def rescales_seldom(number: int) -> int:
    return SETTINGS.rescale() if number > 1000 else number


def pid_at_import(number: int) -> int:
    return STARTED_BY + number


def uses_sentinel(number: int, other: object = MISSING) -> int:
    return number if other is MISSING else 0


def look_up_filled(name: str) -> int:
    return FILLED[name]


def compute_by_table(number: int) -> int:
    return compute(number) + FILLED["a"]


def by_module(number: int) -> int:
    return portable_settings.scaled(number) + portable_settings.TABLE["a"]


def sets_in_module_seldom(number: int) -> int:
    if number > 1000:
        portable_settings.TABLE["a"] = number
    return number


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


def variable(number: int) -> int:
    compute(number)
    return VARIABLE.get()


FIXED = Fixed(add)


def where_and(number: int) -> tuple[int, int]:
    return os.getpid(), number


def where_with_numpy(number: int) -> tuple[int, int]:
    import numpy as np

    return os.getpid(), int(np.ones(number).sum())


def compute_with_numpy(number: int) -> int:
    import numpy as np

    return compute(number) + int(np.ones(1)[0])


def given(thing: object) -> object:
    return thing


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


def compute_and_wait(seconds: float) -> float:
    compute(1)
    time.sleep(seconds)
    return seconds


def compute_more(number: int) -> int:
    return compute(number) + 1


def compute_for_ever(number: int) -> int:
    while True:
        compute(number)


def compute_for(rounds: int, home: int, elsewhere: int) -> int:
    """So much work; in another process than this one, so many times that."""
    return sum(map(compute, range(rounds * (1 if os.getpid() == home else elsewhere))))
