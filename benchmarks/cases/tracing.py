"""What it costs a task to be traced: the time of a task with tracing off, and with it on."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.case import Case, Unit
from benchmarks.judge import Added
from benchmarks.peers import WORKERS
from benchmarks.workloads import empty
from weft import debug
from weft.executors import ThreadPoolExecutor

LIMIT = 200e-9  # seconds a task, of invariant 8
BATCH = 10_000


def per_task(file: str | None, count: int) -> float:
    """Seconds a task: submit a batch, take its results, and so on; traced to a file of this name, if one is given.

    In batches, since what a trace costs is meant, and not what it costs to have a million futures.
    """
    with nullcontext() if file is None else tempfile.TemporaryDirectory() as folder:
        if file is not None:
            debug.enable_tracing(Path(str(folder)) / file)
        with ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(empty) for _ in range(WORKERS)]:
                future.result()
            start = perf_counter()
            for first in range(0, count, BATCH):
                futures = [pool.submit(empty) for _ in range(min(BATCH, count - first))]
                for future in futures:
                    future.result()
            took = perf_counter() - start
        debug.disable_tracing()
    return took / count


CASES = tuple(
    Case(
        name=name,
        work=f"an empty task, tracing on ({words}) beside off",
        unit=Unit.TIME,
        sides={"tracing on": partial(per_task, file), "tracing off": partial(per_task, None)},
        size=200_000,
        quick=20_000,
        judge=Added(LIMIT, "200 ns"),
        in_child=True,
        note="the thread that writes the file takes CPU of its own, which two busy cores feel",
    )
    for name, file, words in (("tracing", "trace.jsonl", "JSON lines"), ("tracing-chrome", "trace.json", "Chrome"))
)
