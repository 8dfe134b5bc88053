"""`weft.cli.demo.table`: columns and numbers."""

import pytest

from weft.cli.demo.table import count, duration, format_table, megabytes, seconds, times


def test_columns_line_up() -> None:
    text = format_table(["", "wall"], [["serial", "10.7 s"], ["threads", "9.1 s"]], ["left", "right"])
    assert text.splitlines() == [
        "           wall",
        "-------  ------",
        "serial   10.7 s",
        "threads   9.1 s",
    ]


def test_no_rows() -> None:
    assert format_table(["a", "bc"], [], ["left", "left"]) == "a  bc\n-  --"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0421, "0.042 s"), (0.5, "0.50 s"), (9.994, "9.99 s"), (45.62, "45.6 s"), (120, "120.0 s")]
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def test_other_numbers() -> None:
    assert megabytes(212_400_000) == "212 MB"
    assert megabytes(None) == "-"
    assert times(1.926) == "1.93x"
    assert count(1, "file") == "1 file"
    assert count(1726, "file") == "1,726 files"
    assert count(0, "file") == "0 files"


@pytest.mark.parametrize(
    ("length", "text"), [(2.0, "2 s"), (0.0125, "12.5 ms"), (3.2e-6, "3.2 us"), (0.0, "0 us"), (123.4, "123 s")]
)
def test_times_are_in_the_unit_that_suits_them(length: float, text: str) -> None:
    assert duration(length) == text
