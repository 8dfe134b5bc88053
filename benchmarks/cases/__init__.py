"""What is measured: one module for each area, each with a tuple `CASES`."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import algorithms, asyncio_tasks, cpu, growth, kernels, maps, memory, startup, tasks

CASES: dict[str, Case] = {
    case.name: case
    for area in (tasks, maps, algorithms, memory, asyncio_tasks, startup, cpu, growth, kernels)
    for case in area.CASES
}
"""By name, in the order of the table."""
