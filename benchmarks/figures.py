"""Figures as people read them: 1.9 M/s, 14.2 µs, 249 B."""

from __future__ import annotations

from benchmarks.case import Unit

_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_BINARY = ((2.0**20, "MiB"), (2.0**13, "KiB"), (1.0, "B"))


def three_digits(value: float) -> str:
    """With three digits that count, and no exponent."""
    for digits, bound in ((2, 10.0), (1, 100.0)):
        if abs(value) < bound:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def figure(value: float, unit: Unit) -> str:
    """A figure with its unit."""
    if unit is Unit.SIZE:
        scale, prefix = next((step for step in _BINARY if value >= step[0]), _BINARY[-1])
        scale = 1024.0 if prefix == "KiB" else scale
        return f"{three_digits(value / scale)} {prefix}"
    steps = _LARGE if unit is Unit.TASKS else _SMALL
    scale, prefix = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{three_digits(value / scale)} {prefix}{unit.value}"
