"""A module of the program whose attributes tasks use: for the adaptive executor's tests."""

SCALE = 2
TABLE = {"a": 1}


def scaled(number: int) -> int:
    return number * SCALE
