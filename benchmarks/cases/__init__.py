"""What is measured: one module for each area, each with a tuple `CASES`."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import (
    algorithms,
    asyncio_tasks,
    composition,
    cpu,
    growth,
    kernels,
    maps,
    memory,
    startup,
    tasks,
    tracing,
)

CASES: dict[str, Case] = {
    case.name: case
    for area in (tasks, composition, maps, algorithms, memory, asyncio_tasks, startup, tracing, cpu, growth, kernels)
    for case in area.CASES
}
"""By name, in the order of the table."""
