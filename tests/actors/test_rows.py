"""The rows of actors in the benchmarks: each side works, with as little as it can do. What it finds is no test's business."""

from __future__ import annotations

import math
import sys

import pytest

from benchmarks.case import Case, Side
from benchmarks.cases import CASES, actors
from tests.executors.child import FULL
from weft.actors._spawn import METHODS, lacks

SIDES = {
    f"{case.name}-{label}": (case, side)
    for case in actors.CASES
    for label, side in case.sides.items()
    if label == "weft" or f"-beside-{label.lower()}" in case.name or "-beside-" not in case.name
}
"""By name; weft's own side once for each row."""


def is_asked(name: str) -> bool:
    """Weft's side once for each row; in a short run a few of them, and nobody beside it. Ray's processes would stay."""
    if FULL:
        return ("-beside-" not in name or not name.endswith("-weft")) and not name.endswith("-ray")
    return name in {f"actors-{what}-process-weft" for what in ("start-warm", "trip", "stream-1MB", "death")}


@pytest.fixture(params=[name for name in SIDES if is_asked(name)])
def side(request: pytest.FixtureRequest) -> tuple[Case, Side]:
    return SIDES[request.param]


@pytest.mark.leaves_threads("one stuck in C is abandoned, and ends when its sleep does")
def test_each_side_gives_a_figure(side: tuple[Case, Side]) -> None:
    case, measure = side
    count = 2 if case.name.startswith("actors-many") else 5 if "stream" in case.name or "trip" in case.name else 1
    figure = measure(count)
    assert math.isfinite(figure)
    assert figure > 0


def test_there_are_rows_for_all_that_is_asked_for() -> None:
    wanted = {f"actors-{what}-process" for what in ("spinning", "stuck", "death", "many", "stream-1MB", "cancel")}
    wanted |= {
        f"actors-{what}-{method}"
        for what in ("start-cold", "start-warm", "first-call", "trip")
        for method in METHODS
        if lacks(method) is None
    }
    assert wanted <= set(CASES)
    if sys.version_info >= (3, 14):
        assert CASES["actors-trip-interpreter"].judge.most == 60e-6
