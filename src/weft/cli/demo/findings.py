"""What the numbers say: speed-ups, whether all results are equal, and the sentences for people.

Pure functions of the trials. The sentences claim only what the trials of this very run show: that threads took
turns at the GIL is read off their own CPU time (together they never had more than one core), not off their
speed-up, to which a disturbance of either run would do. On a busy machine no speed-up is praised.

Pinned by tests/cli/test_findings.py.
"""

import heapq
from dataclasses import dataclass

from weft import Decision
from weft.cli.demo.contenders import Contender
from weft.cli.demo.machine import Machine
from weft.cli.demo.source_metrics import FileMetrics, FunctionMetrics
from weft.cli.demo.source_tree import SourceTree
from weft.cli.demo.table import count, seconds, times
from weft.cli.demo.trial import Failure, Trial

NO_FASTER = 1.15  # a speed-up under this is noise, or not worth a thread
ONE_CORE = 1.1  # up to here a contender had no more than one core; the rest is the clocks' coarseness
QUIET = 0.8  # under this share of the CPU time that it could use, a contender had neighbours
MORE_CPU = 1.15  # from here on, having more workers cost CPU time of its own
TOO_SHORT = 1.0  # seconds of a plain loop under which the start of a pool is most of what is measured


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one contender."""

    contender: Contender
    trial: Trial | Failure


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the demo found out; the first outcome is the baseline's."""

    tree: SourceTree
    size: int
    workers: int
    machine: Machine
    outcomes: tuple[Outcome, ...]

    @property
    def trials(self) -> list[tuple[Contender, Trial]]:
        """The contenders that did the job."""
        return [(o.contender, o.trial) for o in self.outcomes if isinstance(o.trial, Trial)]

    @property
    def failures(self) -> list[tuple[Contender, Failure]]:
        """The contenders that could not."""
        return [(o.contender, o.trial) for o in self.outcomes if isinstance(o.trial, Failure)]

    @property
    def baseline(self) -> Trial | None:
        """The plain loop's trial."""
        return next((trial for contender, trial in self.trials if contender.by == "loop"), None)

    @property
    def results(self) -> list[FileMetrics]:
        """What was computed, file by file, as the first contender that did the job has it."""
        return self.trials[0][1].results if self.trials else []

    def speedup(self, trial: Trial) -> float | None:
        """How many times as fast as the plain loop; None without a baseline."""
        return None if self.baseline is None else self.baseline.wall / trial.wall

    def differences(self) -> list[tuple[str, str]]:
        """The first file on which each contender disagrees with the first one: its name and the path.

        Empty if all results are equal.
        """
        found: list[tuple[str, str]] = []
        for contender, trial in self.trials[1:]:
            if trial.results != self.results:
                pairs = zip(self.results, trial.results, strict=False)
                path = next((a.path for a, b in pairs if a != b), "the number of results")
                found.append((contender.name, path))
        return found

    def decisions(self) -> list[tuple[Contender, Decision]]:
        """The decisions that weft took, with the contender that asked."""
        return [(contender, trial.decision) for contender, trial in self.trials if trial.decision is not None]

    def problems(self) -> list[FileMetrics]:
        """The files that could not be measured."""
        return [result for result in self.results if result.problem is not None]

    def most_complex(self, number: int = 10) -> list[tuple[FileMetrics, FunctionMetrics]]:
        """The most complex functions of the tree; among equals, the first by path and line."""
        everything = ((file, function) for file in self.results for function in file.functions)
        return heapq.nsmallest(number, everything, key=lambda pair: -pair[1].complexity)

    @property
    def line_count(self) -> int:
        """Lines of all files."""
        return sum(file.lines.total for file in self.results)

    @property
    def function_count(self) -> int:
        """Functions of all files."""
        return sum(len(file.functions) for file in self.results)


def core_share(trial: Trial) -> float:
    """The share of the time inside tasks for which they had a core; 1.0 is all of it."""
    inside = sum(span.end - span.start for span in trial.spans)
    return min(1.0, sum(span.cpu for span in trial.spans) / inside) if inside > 0 else 1.0


def cores_used(trial: Trial) -> float:
    """How many cores a contender had, on average over its time."""
    return trial.cpu / trial.wall


def headline(findings: Findings) -> str:
    """The run in one line: the most that weft brought, or else the most that anything did."""
    candidates = [(c, t) for c, t in findings.trials if c.by == "weft"]
    candidates = candidates or [(c, t) for c, t in findings.trials if c.by != "loop"]
    if not candidates:
        return f"{count(len(findings.results), 'file')}, one after another"
    if warning(findings):
        return f"{count(findings.workers, 'worker')} on a busy machine"
    contender, trial = min(candidates, key=lambda candidate: candidate[1].wall)
    speedup = findings.speedup(trial)
    if speedup is None or speedup < NO_FASTER:
        return f"{count(findings.workers, 'worker')}, no faster than one"
    return f"{findings.workers} {resolved_flavor(contender, trial)}, {speedup:.1f} times as fast"


def explain(findings: Findings) -> list[str]:
    """What the numbers mean, a sentence or two for each point."""
    if findings.workers == 1:
        return ["There was one worker, so nothing could be faster than the plain loop."]
    if findings.baseline is not None and findings.baseline.wall < TOO_SHORT:
        return [_about_a_short_job(findings.baseline)]
    points = [_about_threads(findings), _about_other_flavors(findings)]
    return [point for point in points if point]


def _about_a_short_job(baseline: Trial) -> str:
    return (
        f"A plain loop does the whole job in {seconds(baseline.wall)}. That is too short to tell the flavors apart: "
        f"what is to be seen is mostly what a pool costs to start. Try a larger tree."
    )


def _about_threads(findings: Findings) -> str:
    trial = next((t for c, t in findings.trials if c.flavor == "threads" and c.by == "weft"), None)
    speedup = None if trial is None else findings.speedup(trial)
    if trial is None or speedup is None:
        return ""
    share = core_share(trial)
    if findings.machine.gil_enabled:
        if cores_used(trial) >= ONE_CORE:
            return f"The threads had more than one core at times, for this job lets go of the GIL: {times(speedup)}."
        return (
            f"Threads cannot speed this up on this Python ({times(speedup)}): the job is pure Python, and the GIL lets "
            f"one thread run Python at a time. The {findings.workers} threads took turns: each had a core for "
            f"{share:.0%} of the time that its tasks took. Threads pay here for work that waits (files, network) or "
            f"that lets go of the GIL (zlib, hashing, numpy). On a free-threaded build (python3.14t) the same line "
            f"runs on all cores."
        )
    if speedup < NO_FASTER:
        return (
            f"This Python has no GIL, yet threads did not speed the job up ({times(speedup)}): they had a core "
            f"for {share:.0%} of the time that their tasks took."
        )
    point = (
        f"No GIL: {findings.workers} threads ran Python side by side and were {times(speedup)} as fast as one, "
        f"with nothing copied between them."
    )
    cost = 1.0 if findings.baseline is None else trial.cpu / findings.baseline.cpu
    if cost >= MORE_CPU:
        point += (
            f" Together they used {times(cost)} the CPU time of the plain loop: threads that share objects (types, "
            f"modules, the allocator) get in each other's way a little."
        )
    return point


def _about_other_flavors(findings: Findings) -> str:
    if not findings.machine.gil_enabled:
        return ""
    fastest: dict[str, tuple[float, Contender]] = {}
    for contender, trial in findings.trials:
        flavor = resolved_flavor(contender, trial)
        speedup = findings.speedup(trial) or 0.0
        if flavor in ("interpreters", "processes") and speedup > fastest.get(flavor, (NO_FASTER, contender))[0]:
            fastest[flavor] = (speedup, contender)
    if not fastest:
        return ""
    best = ", ".join(
        f"{flavor} {times(speedup)} ({contender.name})" for flavor, (speedup, contender) in sorted(fastest.items())
    )
    return (
        f"Workers with a GIL each do run side by side: {best}. They share no objects, so arguments and results "
        f"are pickled on the way, and each worker starts by importing what it needs."
    )


def resolved_flavor(contender: Contender, trial: Trial) -> str:
    """The kind of worker that did the job in the end."""
    return contender.flavor if trial.decision is None else trial.decision.resolved


def warning(findings: Findings) -> str:
    """What a reader must know before the numbers; empty if there is nothing.

    A contender that could have used more CPU time than it got had neighbours.
    """
    shares = {contender.name: _undisturbed_share(findings, contender, trial) for contender, trial in findings.trials}
    worst = min(shares, key=lambda name: shares[name])
    if shares[worst] >= QUIET:
        return ""
    return (
        f"The machine was busy with something else: {worst} had only {shares[worst]:.0%} of the CPU time that it "
        f"could have used. Take these figures with care, and run the demo again on a quiet machine."
    )


def _undisturbed_share(findings: Findings, contender: Contender, trial: Trial) -> float:
    """The share of CPU time that a contender got, of what it could have used by itself."""
    if findings.machine.gil_enabled and resolved_flavor(contender, trial) == "threads":
        return cores_used(trial)  # they take turns, so together they could have used one CPU
    # More workers than CPUs: these wait for each other, and nobody else is to blame.
    return core_share(trial) * max(1.0, findings.workers / findings.machine.cpus)
