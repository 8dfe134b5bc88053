"""One trial: one contender does the whole job, once, in a process of its own. This module is that process.

A fresh process for each, so that peak memory, warm caches and threads of one are not the next one's. What is
measured begins when everything is imported, with making the executor, and ends when it has shut down: what a
pool costs to start is in its figure, what Python costs to start is in none.

Speaks with the parent in pickles: a `Job` on standard input, then on standard output the number of files done,
now and then, and at the end a `Trial` or a `Failure`. Whatever else is printed goes to standard error.

Standard input stays open for as long as the parent wants the job. When it closes, for whatever reason, the
process ends at once, and its group with it, so that nothing is left when the parent is killed.

Pinned by tests/cli/test_measure.py and tests/cli/test_interrupt.py.
"""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import BinaryIO

from weft import Decision, debug, observe_decisions
from weft.cli.demo.contenders import contender_named
from weft.cli.demo.source_metrics import FileMetrics, measure_file
from weft.cli.demo.timeline import Span, Timed
from weft.cli.demo.usage import CpuTime, peak_memory

REPORT_INTERVAL = 0.05  # seconds between two messages of progress


@dataclass(frozen=True, slots=True)
class Job:
    """What a trial is to do."""

    contender: str
    workers: int
    paths: tuple[str, ...]
    trace: str | None = None  # where to write a trace of weft's workers


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: times in seconds, memory in bytes (None: not known here).

    `origin` is the clock's reading when it began; `spans` has one per file, in the order of `results`.
    `cpu` includes child processes. `decision` is the one that weft took, if any.
    """

    contender: str
    origin: float
    wall: float
    cpu: float
    peak_memory: int | None
    results: list[FileMetrics]
    spans: list[Span]
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result: the exception in one line, and its traceback."""

    reason: str
    details: str


_timed = Timed(measure_file)


def measure_and_time(path: str) -> tuple[FileMetrics, Span]:
    """The task of all contenders: a function with a name, for the trace."""
    return _timed(path)


def run_trial(job: Job, messages: BinaryIO) -> Trial:
    """Runs the job and measures it, reporting progress on the way."""
    contender = contender_named(job.contender)
    results: list[FileMetrics] = []
    spans: list[Span] = []
    with observe_decisions() as decisions:
        used, origin = CpuTime.now(), time.perf_counter()
        next_report = origin
        outcomes = contender.map(measure_and_time, job.paths, job.workers)
        for _ in job.paths:
            result, span = next(outcomes)
            results.append(result)
            spans.append(span)
            if time.perf_counter() >= next_report:
                send(len(results), messages)
                next_report = time.perf_counter() + REPORT_INTERVAL
        # The workers still live, so their memory can be asked for; the clock stands still meanwhile.
        paused = time.perf_counter()
        memory = peak_memory()
        origin_of_rest = time.perf_counter()
        for _ in outcomes:
            raise AssertionError("more results than files")
        end = time.perf_counter()
        used = CpuTime.now() - used
    return Trial(
        contender=contender.name,
        origin=origin,
        wall=(paused - origin) + (end - origin_of_rest),
        # The children of a fork server are not ours, and Windows counts none: then the tasks say what they used.
        cpu=used.own + max(used.children, sum(span.cpu for span in spans if span.process != os.getpid())),
        peak_memory=memory,
        results=results,
        spans=spans,
        decision=decisions[-1] if decisions else None,
    )


def send(message: int | Trial | Failure, messages: BinaryIO) -> None:
    """Sends one message to the parent."""
    pickle.dump(message, messages)
    messages.flush()


def end_with_parent() -> None:
    """Waits until standard input closes, and then ends this process and its group.

    Reads the descriptor, not the file object, whose lock must be free when the interpreter ends.
    """
    while os.read(0, 1):
        pass
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(1)


def main() -> None:
    """Runs the job that comes on standard input."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # The parent answers Ctrl-C, by closing our standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=end_with_parent, name="demo lifeline", daemon=True).start()
    outcome: Trial | Failure
    try:
        if job.trace is not None:
            debug.enable_tracing(job.trace)
        outcome = run_trial(job, messages)
        debug.disable_tracing()
    except BaseException as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        outcome = Failure(reason, traceback.format_exc())
    send(outcome, messages)
