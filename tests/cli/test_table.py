"""`weft.cli.demo.table`: columns and numbers."""

import pytest

from weft.cli.demo.table import count, format_table, megabytes, seconds, times


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
