"""Plain text tables: columns as wide as what is in them, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.figures import figure, three_digits
from benchmarks.judge import ratios
from benchmarks.runner import Measurement

_WORDS = {True: "met", False: "NOT MET", None: ""}


def aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Rows under the first of them as the head; the first `left` columns and the last are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.ljust(width) if column < left or column == last else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    head, *body = rows
    return "\n".join([line(head), "  ".join("─" * width for width in widths), *map(line, body)])


def peers_table(measurements: Sequence[Measurement]) -> str:
    """The rows that compare weft with a peer; the target is about the first of them."""
    rows: list[Sequence[str]] = [("work", "peer", "ratio", "of rounds", "target", "weft", "the peer", "")]
    for found in measurements:
        verdict = found.verdict
        ours, *others = found.samples
        beside, peer = ("–", "", ""), ""  # a limit needs nobody beside it
        if others:
            ratio = f"{three_digits(verdict.figure)}×"
            beside = others[0], ratio, f"{three_digits(verdict.low)}–{three_digits(verdict.high)}"
            peer = figure(median(found.samples[others[0]]), found.case.unit)
        mine = figure(median(found.samples[ours]), found.case.unit)
        rows.append((found.case.work, *beside, verdict.target, mine, peer, _WORDS[verdict.met]))
        rows += [_further_row(found, label) for label in others[1:]]
    return aligned(rows, left=2)


def _further_row(found: Measurement, label: str) -> Sequence[str]:
    """The same work beside another peer."""
    ours = next(iter(found.samples))
    samples = {ours: found.samples[ours], label: found.samples[label]}
    times = ratios(samples, more_is_better=found.case.unit.more_is_better)
    return (
        "",
        label,
        f"{three_digits(median(times))}×",
        f"{three_digits(min(times))}–{three_digits(max(times))}",
        "",
        "",
        figure(median(found.samples[label]), found.case.unit),
        "",
    )


def series_table(found: Measurement) -> str:
    """One series: a column for each point."""
    verdict = found.verdict
    head = [found.case.work, *found.samples, "worst to best", "target", ""]
    values = [figure(median(values), found.case.unit) for values in found.samples.values()]
    row = ["weft", *values, f"{three_digits(verdict.figure)}×", verdict.target, _WORDS[verdict.met]]
    return aligned([head, row], left=1)
