"""Policies to try: every kind of chunk, on pools of several sizes, on the serial executor and in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from weft.execution import (
    Policy,
    auto_chunk_size,
    dynamic_chunk_size,
    guided_chunk_size,
    par,
    par_unseq,
    seq,
    static_chunk_size,
    unseq,
)
from weft.executors import SerialExecutor, ThreadPoolExecutor

CHUNKS = [
    auto_chunk_size(),
    static_chunk_size(),
    static_chunk_size(1),
    static_chunk_size(7),
    dynamic_chunk_size(),
    dynamic_chunk_size(5),
    guided_chunk_size(),
    guided_chunk_size(3),
]


@dataclass
class Pools:
    """One pool of each size, for a whole module."""

    one: ThreadPoolExecutor
    two: ThreadPoolExecutor
    four: ThreadPoolExecutor
    serial: SerialExecutor

    def all(self) -> list[Any]:
        return [self.one, self.two, self.four, self.serial]

    def policies(self) -> list[Policy]:
        """All kinds."""
        parallel = [p.with_(chunks).on(pool) for pool in self.all() for chunks in CHUNKS for p in (par,)]
        return [seq, unseq, par_unseq.on(self.two), *parallel]


@pytest.fixture
def pools() -> Iterator[Pools]:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two, ThreadPoolExecutor(4) as four:
        with SerialExecutor() as serial:
            yield Pools(one, two, four, serial)


@pytest.fixture
def two() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def four() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
