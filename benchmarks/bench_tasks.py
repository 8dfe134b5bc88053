"""The cases that time tasks, for pytest-benchmark: `pytest benchmarks/bench_tasks.py`, with all of its options."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.case import Side
from benchmarks.cases import CASES
from benchmarks.timed import sides_of

AREA = [CASES[name] for name in ("submit", "trip", "first", "asyncio", "await-all", "as-completed", "aio-map")]


@pytest.mark.parametrize(("side", "size"), sides_of(AREA))
def test_tasks(benchmark: BenchmarkFixture, side: Side, size: int) -> None:
    benchmark.pedantic(side, args=(size,), rounds=5, warmup_rounds=1)
