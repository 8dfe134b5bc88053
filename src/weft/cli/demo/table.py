"""Plain text tables, and how the demo writes its numbers, on the terminal and on the page alike.

Pinned by tests/cli/test_table.py.
"""

from collections.abc import Sequence
from typing import Literal

type Align = Literal["left", "right"]


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[Align]) -> str:
    """Lays out rows in columns, two spaces apart, under a header and a rule.

    Example:
        >>> print(format_table(["name", "n"], [["one", "1"], ["ten", "10"]], ["left", "right"]))
        name   n
        ----  --
        one    1
        ten   10
    """
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    lines = [
        "  ".join(
            cell.ljust(width) if side == "left" else cell.rjust(width)
            for cell, width, side in zip(row, widths, align, strict=True)
        )
        for row in (header, rule, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


def seconds(value: float) -> str:
    """A duration with three significant digits or so: 0.042 s, 1.23 s, 45.6 s."""
    decimals = 3 if value < 0.1 else 2 if value < 10 else 1
    return f"{value:.{decimals}f} s"


def duration(seconds: float) -> str:
    """A time in the unit that suits it, with three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError


def megabytes(value: int | None) -> str:
    """Bytes in units of a million; a dash where it is not known."""
    return "-" if value is None else f"{value / 1e6:,.0f} MB"


def times(value: float) -> str:
    """A ratio: 1.93x."""
    return f"{value:.2f}x"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where needed: 1 file, 1,726 files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
