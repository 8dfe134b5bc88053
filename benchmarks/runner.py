"""Takes the samples of a case: its sides in turn, so that all see the same machine.

A round measures each side once, and every second round goes through them backwards, so that none always comes first.
One round before, which does not count, warms up the interpreter's specialisation, the allocator and the CPU. Each
sample waits, with some patience, for a moment in which nothing else runs on the machine; those that waited in vain are
counted.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import child, machine
from benchmarks.case import Case
from benchmarks.judge import Verdict

LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Measurement:
    """A case, the samples of each side in order of the rounds, how many were not taken in peace, and the verdict."""

    case: Case
    size: int
    samples: dict[str, list[float]]
    disturbed: int
    verdict: Verdict


def measure(case: Case, size: int, rounds: int, patience: float, tell: Callable[[str], None]) -> Measurement:
    """Measures one case.

    Args:
        case: what to measure.
        size: tasks or items in a sample.
        rounds: samples of each side.
        patience: seconds that a sample waits for a quiet machine at most.
        tell: is told how far it is.
    """

    def sample(label: str, count: int) -> float:
        gc.collect()  # what the side before has left is not this one's to clear away
        if case.in_child:
            return child.sample(case.name, label, count)
        return case.sides[label](count)

    labels = list(case.sides)
    samples: dict[str, list[float]] = {label: [] for label in labels}
    if not case.in_child:
        for label in labels:
            sample(label, max(1, size // 20))
    disturbed = 0
    for number in range(rounds):
        tell(f"{case.name}: round {number + 1} of {rounds}")
        for label in labels if number % 2 == 0 else reversed(labels):
            disturbed += not machine.wait_until_quiet(patience)
            samples[label].append(sample(label, size))
    return Measurement(case, size, samples, disturbed, case.judge(samples, more_is_better=case.unit.more_is_better))
