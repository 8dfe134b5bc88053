"""The cases that time kernels, for pytest-benchmark: `pytest benchmarks/bench_kernels.py`, with all of its options."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.case import Side
from benchmarks.cases import kernels
from benchmarks.timed import sides_of


@pytest.mark.parametrize(("side", "size"), sides_of(kernels.CASES))
def test_kernels(benchmark: BenchmarkFixture, side: Side, size: int) -> None:
    benchmark.pedantic(side, args=(size,), rounds=5, warmup_rounds=1)
