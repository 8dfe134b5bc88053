"""Targets, and whether what was measured meets them.

A ratio says how many times better weft is, so 2 is twice as fast or half as large. It is taken within each round, where
both sides saw the same machine, and the median over the rounds counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

type Samples = Mapping[str, Sequence[float]]
"""By side: the figure of each round."""


@dataclass(frozen=True)
class Verdict:
    """What was found, what was wanted, and whether it is met (None: nothing was wanted)."""

    figure: float
    low: float
    high: float
    target: str
    met: bool | None


class Judge(Protocol):
    """Compares the samples of a case with its target."""

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict: ...


def ratios(samples: Samples, *, more_is_better: bool) -> list[float]:
    """Of each round: how many times better the first side is than the second; empty if it has no second."""
    ours, *others = samples.values()
    if not others:
        return []
    pairs = zip(ours, others[0], strict=True)
    return [a / b if more_is_better else b / a for a, b in pairs]


def _verdict(values: Sequence[float], target: str, met: bool | None) -> Verdict:
    return Verdict(median(values), min(values), max(values), target, met)


@dataclass(frozen=True)
class NoTarget:
    """For a row that is there to be looked at."""

    why: str = "–"

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        return _verdict(ratios(samples, more_is_better=more_is_better) or [1.0], self.why, None)


@dataclass(frozen=True)
class Ratio:
    """So many times better than the peer."""

    least: float

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        found = ratios(samples, more_is_better=more_is_better)
        return _verdict(found, f"{self.least:g}×", median(found) >= self.least)


@dataclass(frozen=True)
class AsGoodAsBest:
    """At least so many times as good as the best of the other sides."""

    least: float

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        ours, *others = samples.values()
        best = [max(figures) if more_is_better else min(figures) for figures in zip(*others, strict=True)]
        found = ratios({"ours": ours, "best": best}, more_is_better=more_is_better)
        return _verdict(found, f"{self.least:g}× the best", median(found) >= self.least)


@dataclass(frozen=True)
class Limit:
    """An absolute figure, in the unit's base: at most so many seconds or bytes."""

    most: float
    words: str

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        ours = next(iter(samples.values()))
        found = ratios(samples, more_is_better=more_is_better) or [1.0]
        return _verdict(found, f"≤ {self.words}", median(ours) <= self.most)


@dataclass(frozen=True)
class Added:
    """At most so much more than the second side, in the unit's base: what a thing costs on top."""

    most: float
    words: str

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        ours, without = samples.values()
        found = ratios(samples, more_is_better=more_is_better)
        added = median(a - b for a, b in zip(ours, without, strict=True))
        return _verdict(found, f"≤ {self.words} more", added <= self.most)


@dataclass(frozen=True)
class Flat:
    """A series whose figure must not get worse along its axis, up to a factor for noise.

    The figure is how many times better the best point before a worse one is: 1 is a series that only improves.
    """

    most: float

    def __call__(self, samples: Samples, *, more_is_better: bool) -> Verdict:
        points = [median(values) for values in samples.values()]
        if more_is_better:
            points = [1 / point for point in points]
        best, worst = points[0], 1.0
        for point in points[1:]:
            worst = max(worst, point / best)
            best = min(best, point)
        return Verdict(worst, worst, worst, f"flat, ≤ {self.most:g}×", worst <= self.most)
