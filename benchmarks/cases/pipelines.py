"""Pipelines beside those of other libraries that are installed: what it costs to run a node, and to find its result."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import weft
from benchmarks import pipeline_nodes
from benchmarks.case import Case, Side, Unit
from benchmarks.judge import AsGoodAsBest, Judge, Limit
from benchmarks.pipeline_nodes import cleaned, doubled, total
from weft.pipelines import Cache, DiskCache, MemoryCache, Pipeline, node

FUNCTIONS: tuple[Callable[[int], int], ...] = (cleaned, doubled, total)
PEERS_SHARE = 10  # peers are given so much less, as they take so much longer; a figure for each item is what counts


def _weft(nodes: int, cache: Cache | None = None) -> Pipeline:
    config = None if cache is None else weft.RuntimeConfig(cache=cache)
    made = [node(fn) for fn in FUNCTIONS[:nodes]]
    return Pipeline(made, config=config)


def _hypernodes(nodes: int) -> Any:
    hypernodes: Any = importlib.import_module("hypernodes")
    return hypernodes.Pipeline([hypernodes.node(output_name=fn.__name__)(fn) for fn in FUNCTIONS[:nodes]])


def _pipefunc(nodes: int, *, mapped: bool = False, **cached: Any) -> Any:
    pipefunc: Any = importlib.import_module("pipefunc")
    names = ["raw", *(fn.__name__ for fn in FUNCTIONS)]
    made = [
        pipefunc.PipeFunc(
            fn,
            fn.__name__,
            mapspec=f"{names[at]}[i] -> {fn.__name__}[i]" if mapped else None,
            cache=bool(cached),
        )
        for at, fn in enumerate(FUNCTIONS[:nodes])
    ]
    return pipefunc.Pipeline(made, validate_type_annotations=False, **cached)


def _hamilton() -> Any:
    driver: Any = importlib.import_module("hamilton.driver")
    return driver.Builder().with_modules(pipeline_nodes).build()


def _each(call: Callable[[int], object], count: int) -> float:
    """Seconds for one call."""
    call(0)
    start = perf_counter()
    for number in range(count):
        call(number)
    return (perf_counter() - start) / count


def _items(call: Callable[[list[int]], object], count: int) -> float:
    """Items a second."""
    call([0, 1])
    items = list(range(count))
    start = perf_counter()
    call(items)
    return count / (perf_counter() - start)


# ---- sides -----------------------------------------------------------------------------------------


def _weft_node(count: int) -> float:
    pipeline = _weft(1)
    return _each(lambda number: pipeline.run({"raw": number}), count)


def _hypernodes_node(count: int) -> float:
    pipeline = _hypernodes(1)
    return _each(lambda number: pipeline.run({"raw": number}), count // PEERS_SHARE)


def _pipefunc_node(count: int) -> float:
    pipeline = _pipefunc(1)
    return _each(lambda number: pipeline.run("cleaned", kwargs={"raw": number}), count // PEERS_SHARE)


def _hamilton_node(count: int) -> float:
    driver = _hamilton()
    return _each(lambda number: driver.execute(["cleaned"], inputs={"raw": number}), count // PEERS_SHARE)


def _weft_map(count: int) -> float:
    pipeline = _weft(3)
    return _items(lambda items: pipeline.map({"raw": items}, map_over="raw"), count)


def _hypernodes_map(count: int) -> float:
    pipeline = _hypernodes(3)
    return _items(lambda items: pipeline.map({"raw": items}, map_over="raw"), count // PEERS_SHARE)


def _pipefunc_map(count: int) -> float:
    pipeline = _pipefunc(3, mapped=True)
    return _items(lambda items: pipeline.map({"raw": items}, parallel=False, storage="dict"), count // PEERS_SHARE)


def _hamilton_map(count: int) -> float:
    driver = _hamilton()
    return _items(
        lambda items: [driver.execute(["total"], inputs={"raw": item}) for item in items], count // PEERS_SHARE
    )


def _hits(run: Callable[[int], object], count: int) -> float:
    """Seconds for a call whose one node is found, of a hundred that are."""
    for number in range(100):
        run(number)
    return _each(lambda number: run(number % 100), count)


def _weft_hits(cache: Cache, count: int) -> float:
    pipeline = _weft(1, cache)
    return _hits(lambda number: pipeline.run({"raw": number}), count)


def _weft_memory_hit(count: int) -> float:
    return _weft_hits(MemoryCache(), count)


def _weft_disk_hit(count: int) -> float:
    with TemporaryDirectory() as folder, DiskCache(Path(folder) / "cache") as cache:
        return _weft_hits(cache, count)


def _pipefunc_hits(count: int, **cached: Any) -> float:
    pipeline = _pipefunc(1, **cached)
    return _hits(lambda number: pipeline.run("cleaned", kwargs={"raw": number}), count // PEERS_SHARE)


def _pipefunc_memory_hit(count: int) -> float:
    return _pipefunc_hits(count, cache_type="lru", cache_kwargs={"shared": False})


def _pipefunc_disk_hit(count: int) -> float:
    with TemporaryDirectory() as folder:
        return _pipefunc_hits(count, cache_type="disk", cache_kwargs={"cache_dir": folder, "with_lru_cache": False})


def _case(name: str, work: str, unit: Unit, sides: dict[str, Side], judge: Judge, size: int, note: str = "") -> Case:
    there = {label: side for label, side in sides.items() if importlib.util.find_spec(label) is not None}
    return Case(name=name, work=work, unit=unit, sides=there, size=size, quick=size // 25, judge=judge, note=note)


_CASES = (
    _case(
        "pipelines-node",
        "one node of a pipeline, run",
        Unit.TIME,
        {"weft": _weft_node, "hypernodes": _hypernodes_node, "pipefunc": _pipefunc_node, "hamilton": _hamilton_node},
        Limit(2e-6, "2 µs"),
        50_000,
    ),
    _case(
        "pipelines-map",
        "items through three nodes that do next to nothing",
        Unit.TASKS,
        {"weft": _weft_map, "hypernodes": _hypernodes_map, "pipefunc": _pipefunc_map, "hamilton": _hamilton_map},
        AsGoodAsBest(10),
        100_000,
        "hamilton has no map: a run for each item",
    ),
    _case(
        "pipelines-hit-memory",
        "a node whose result is in memory, run",
        Unit.TIME,
        {"weft": _weft_memory_hit, "pipefunc": _pipefunc_memory_hit},
        Limit(5e-6, "5 µs"),
        20_000,
    ),
    _case(
        "pipelines-hit-disk",
        "a node whose result is on disk, run",
        Unit.TIME,
        {"weft": _weft_disk_hit, "pipefunc": _pipefunc_disk_hit},
        Limit(60e-6, "60 µs"),
        10_000,
    ),
)
CASES = tuple(case for case in _CASES if len(case.sides) > 1)
