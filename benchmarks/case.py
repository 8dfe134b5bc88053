"""A case: one thing to measure, on each of its sides.

A side is a function of the number of tasks (or items) that does the work and returns its own figure, so that making
and closing a pool stay out of the time where they are not what is measured. The first side is weft, the second its
peer. A series has one side for each of its points instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from benchmarks.judge import Judge, NoTarget

type Side = Callable[[int], float]
"""What is given a number of tasks, works, and returns the figure, in the case's unit."""


class Unit(Enum):
    """What a figure counts, in base units: a time is in seconds, a size in bytes."""

    TASKS = "/s"
    TIME = "s"
    SIZE = "B"

    @property
    def more_is_better(self) -> bool:
        return self is Unit.TASKS


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table.

    Args:
        name: for `--only`.
        work: what is measured, in words.
        unit: what the sides return.
        sides: by label, in the order of measuring.
        size: how many tasks or items a side is given.
        quick: how many with `--quick`.
        judge: compares what was measured with the target.
        in_child: each sample is taken in an interpreter of its own.
        series: the sides are points along an axis, not peers.
        note: what a reader should know about this row.
    """

    name: str
    work: str
    unit: Unit
    sides: Mapping[str, Side]
    size: int
    quick: int
    judge: Judge = field(default_factory=NoTarget)
    in_child: bool = False
    series: bool = False
    note: str = ""
