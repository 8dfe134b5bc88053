"""`weft bench`: what each kind of worker costs on this machine, and from which length of task on it pays.

Weft's executors and the standard library's, one after the other, with the same measurements: the first result, with
what is loaded for it and the making of the pool; one empty call there and back (the median); empty tasks a second,
submitted and collected; a megabyte there and back. Tasks that compute pay from the length at which all workers together
have saved what handing the task out takes: ``cost * workers / (workers - 1)``.

It takes a few seconds, and says what is so here and now: benchmarks that compare releases are in ``benchmarks/``.
Pinned by tests/cli/test_bench.py.
"""

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter

from weft import capabilities
from weft.cli._progress import make_progress
from weft.cli.demo.contenders import Contender, available_contenders
from weft.cli.demo.machine import this_machine
from weft.cli.demo.table import count, duration, format_table

__all__ = ["Costs", "measure", "run_bench"]

TASKS = 2_000
MEGABYTE = b"x" * 1_000_000
LEAST_SECONDS = 0.2  # for each figure, so that one moment of the machine does not make it
MOST_REPEATS = 200


@dataclass(frozen=True, slots=True)
class Costs:
    """What one kind of worker costs.

    Attributes:
        name: The contender's name.
        by: Who provides it.
        first: The first result, with what is loaded for it and the making of the pool, in seconds.
        call: One empty call there and back, in seconds.
        task: One of many empty tasks, in seconds.
        megabyte: A megabyte there and back, in seconds.
        pays_from: The length of task that computes from which it is quicker than a loop, in seconds. None: none is.
    """

    name: str
    by: str
    first: float
    call: float
    task: float
    megabyte: float
    pays_from: float | None


def run_bench(*, flavors: frozenset[str], workers: int | None, show_progress: bool, as_json: bool) -> int:
    """Measures, and prints what was found.

    Args:
        flavors: The kinds of worker.
        workers: How many of each; None for as many as there are CPUs to use.
        show_progress: Whether to show progress on standard error.
        as_json: Print JSON.

    Returns:
        The exit status.
    """
    workers = workers or capabilities().cpu_count
    found: list[Costs] = []
    with make_progress(show=show_progress) as progress:
        for contender in available_contenders(flavors):
            if contender.make_executor is None or contender.flavor == "auto":
                continue
            progress.begin(contender.name, None)
            found.append(measure(contender, workers))
            progress.finish("measured")
    if as_json:
        print(json.dumps({"workers": workers, "costs": [asdict(one) for one in found]}, indent=2))
        return 0
    machine = this_machine()
    print(f"weft bench: {count(workers, 'worker')} on Python {machine.python} ({machine.build})\n")
    header = ["", "first result", "call and back", "tasks a second", "1 MB and back", "computing pays from"]
    rows = [
        [
            one.name,
            duration(one.first),
            duration(one.call),
            f"{1 / one.task:,.0f}",
            duration(one.megabyte),
            _pays(one, workers),
        ]
        for one in found
    ]
    print(format_table(header, rows, ["left", "right", "right", "right", "right", "right"]))
    return 0


def _pays(costs: Costs, workers: int) -> str:
    if costs.pays_from is not None:
        return f"{duration(costs.pays_from)} a task"
    return "never: one worker" if workers == 1 else "never: the GIL"


def measure(contender: Contender, workers: int) -> Costs:
    """Measures one contender.

    Args:
        contender: One that makes an executor.
        workers: How many workers.
    """
    assert contender.make_executor is not None
    began = perf_counter()
    with contender.make_executor(workers) as executor:
        executor.submit(int).result()
        first = perf_counter() - began
        _many(executor, workers * 10)  # all workers are there
        call = _median(lambda: executor.submit(int).result())
        task = _median(lambda: _many(executor, TASKS)) / TASKS
        megabyte = _median(lambda: executor.submit(bytes, MEGABYTE).result())
    takes_turns = contender.flavor == "threads" and capabilities().gil_enabled
    pays_from = None if workers == 1 or takes_turns else task * workers / (workers - 1)
    return Costs(contender.name, contender.by, first, call, task, megabyte, pays_from)


def _many(executor: Executor, number: int) -> None:
    for future in [executor.submit(int) for _ in range(number)]:
        future.result()


def _median(call: Callable[[], object]) -> float:
    """The median of some calls, in seconds."""
    times: list[float] = []
    end = perf_counter() + LEAST_SECONDS
    while len(times) < 3 or (len(times) < MOST_REPEATS and perf_counter() < end):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return median(times)
