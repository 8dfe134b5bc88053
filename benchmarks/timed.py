"""Cases as parameters of a pytest-benchmark function, with the sizes of `--quick`.

pytest-benchmark takes the whole call, the making of the pool included; the runner's figures leave that out.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from _pytest.mark import ParameterSet

from benchmarks.case import Case


def sides_of(cases: Sequence[Case]) -> list[ParameterSet]:
    """One parameter set, (side, size), for each side of each case."""
    return [
        pytest.param(side, case.quick, id=f"{case.name}-{label}")
        for case in cases
        for label, side in case.sides.items()
    ]
