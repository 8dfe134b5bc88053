"""What is measured: one module for each area, each with a tuple `CASES`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from benchmarks.case import Case
from benchmarks.cases import (
    algorithms,
    asyncio_tasks,
    auto,
    composition,
    cpu,
    growth,
    kernels,
    maps,
    memory,
    pipelines,
    startup,
    tasks,
    tracing,
    workers,
)

_AREAS = (
    tasks,
    composition,
    maps,
    algorithms,
    memory,
    asyncio_tasks,
    startup,
    tracing,
    cpu,
    workers,
    auto,
    pipelines,
    growth,
    kernels,
)


def _of_actors() -> Iterable[Case]:
    if importlib.util.find_spec("anyio") is None:
        return ()
    from benchmarks.cases import actors

    return actors.CASES


CASES: dict[str, Case] = {case.name: case for area in _AREAS for case in area.CASES}
CASES.update({case.name: case for case in _of_actors()})
"""By name, in the order of the table."""
