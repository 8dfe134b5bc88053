"""The timeline: which worker ran which task when, and for how much of that time it had a core.

Clock readings are of `time.perf_counter`, which all processes of a machine share on Linux, macOS and Windows.
A span costs about a microsecond, a task of the demo some milliseconds. Pinned by tests/cli/test_timeline.py.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Span:
    """One task on one worker: `start` and `end` in seconds, `cpu` the seconds that it ran on a core.

    `process` and `thread` are the system's numbers and say which worker it was; `name` is its name there and
    then (in another interpreter, that of a thread which Python did not start may change from task to task). What
    lies between `cpu` and `end - start` was spent waiting: for the GIL, or for a core.
    """

    name: str
    process: int
    thread: int
    start: float
    end: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Timed[Item, Result]:
    """A function that is called on an item and gives its result with the span; picklable if the function is."""

    function: Callable[[Item], Result]

    def __call__(self, item: Item) -> tuple[Result, Span]:
        """Calls the function, and looks at the clocks before and after."""
        start, cpu = time.perf_counter(), time.thread_time()
        result = self.function(item)
        end, cpu = time.perf_counter(), time.thread_time() - cpu
        name = threading.current_thread().name
        return result, Span(name, os.getpid(), threading.get_native_id(), start, end, cpu)


@dataclass(frozen=True, slots=True)
class Lane:
    """One worker's spans in order of time, with the index of each one's task."""

    name: str
    process: int
    tasks: tuple[tuple[int, Span], ...]

    def shares(self, bins: int, width: float) -> list[tuple[float, float]]:
        """For each of `bins` intervals of `width` seconds: the share of it inside a task, and on a core.

        A task's CPU time is taken to be spread evenly over its span.
        """
        busy = [0.0] * bins
        running = [0.0] * bins
        for _, span in self.tasks:
            length = span.end - span.start
            rate = min(1.0, span.cpu / length) if length > 0 else 0.0
            first, last = int(span.start / width), int(span.end / width)
            for index in range(max(first, 0), min(last, bins - 1) + 1):
                inside = min(span.end, (index + 1) * width) - max(span.start, index * width)
                busy[index] += inside / width
                running[index] += inside * rate / width
        return [(min(1.0, b), min(1.0, r)) for b, r in zip(busy, running, strict=True)]


def lanes(spans: Iterable[Span], origin: float) -> list[Lane]:
    """Sorts spans by worker, in the order in which the workers began, with times counted from `origin`."""
    by_worker: dict[tuple[int, int], list[tuple[int, Span]]] = {}
    shifted = (replace(span, start=span.start - origin, end=span.end - origin) for span in spans)
    for index, span in sorted(enumerate(shifted), key=lambda pair: pair[1].start):
        by_worker.setdefault((span.process, span.thread), []).append((index, span))
    return [Lane(tasks[0][1].name, tasks[0][1].process, tuple(tasks)) for tasks in by_worker.values()]
