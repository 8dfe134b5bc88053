"""What `weft run` gives to a pipeline: values of its arguments, and the items of a file.

A file is read twice, first to find out whether each of its lines is one, so that a mistake in the last is told before
the first item has run. Standard input can be read once only. Pinned by tests/cli/test_run.py.
"""

import itertools
import json
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from weft.pipelines import Pipeline

__all__ = ["Items", "Refused", "given_inputs", "items_of"]


class Refused(Exception):
    """It cannot be run like this. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a pipeline is run for.

    Attributes:
        over: The names of the inputs that differ.
        rows: Their values for each item.
        total: How many items there are; None: not known before they are read.
    """

    over: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    total: int | None

    def close(self) -> None:
        """No more are wanted: lets go of the file."""
        close = getattr(self.rows, "close", None)
        if close is not None:
            close()


def given_inputs(arguments: Iterable[str]) -> dict[str, Any]:
    """The inputs that `--input name=value` gives: JSON where the value is that, else text.

    Raises:
        Refused: One is not of this form, or is given twice.
    """
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            raise Refused(f"--input {argument}: give it as NAME=VALUE, such as --input least=3")
        if name in given:
            raise Refused(f"--input {name} is given twice: leave one out, or give a list and --map-over {name}")
        try:
            given[name] = json.loads(text)
        except json.JSONDecodeError:
            given[name] = text
    return given


def items_of(
    lines: str | None, map_over: Sequence[str], mode: str, shared: dict[str, Any], pipeline: "Pipeline"
) -> Items | None:
    """The items, if it is to run for several; those that were in `shared` are not, afterwards.

    Raises:
        Refused: There are none to be had like this.
    """
    over = tuple(dict.fromkeys(map_over))
    unknown = [name for name in over if name not in pipeline.inputs]
    if unknown:
        raise Refused(f"--map-over {unknown[0]}: there is no such input; it has {', '.join(pipeline.inputs) or 'none'}")
    if lines is not None:
        if mode != "zip":
            raise Refused("--map-mode is for inputs that are given as lists: each line of --inputs is one item")
        items = _of_file(lines, over)
        twice = [name for name in items.over if name in shared]
        if twice:
            raise Refused(f"--input {twice[0]} is what the lines of {lines} give: leave one out")
        return items
    if not over:
        return None
    columns = [_column(name, shared) for name in over]
    if mode == "product":
        return Items(over, itertools.product(*columns), prod(map(len, columns)))
    if len({*map(len, columns)}) > 1:
        told = ", ".join(f"{name} has {len(column)}" for name, column in zip(over, columns, strict=True))
        raise Refused(
            f"inputs that are mapped over together have as many items each: {told}; or use --map-mode product"
        )
    return Items(over, zip(*columns, strict=True), len(columns[0]))


def _column(name: str, shared: dict[str, Any]) -> list[Any]:
    if name not in shared:
        raise Refused(
            f"--map-over {name} has no items: give a list with --input {name}='[…]', or a file of items with --inputs"
        )
    values = shared.pop(name)
    if not isinstance(values, list):
        raise Refused(f"--input {name} is mapped over: give it a JSON list, such as --input {name}='[1, 2]'")
    return cast("list[Any]", values)


def _of_file(where: str, over: tuple[str, ...]) -> Items:
    if where == "-":
        rows = _rows(sys.stdin, "standard input", over)
        first = next(rows, None)
        if first is None:
            raise Refused("standard input has no items")
        return Items(first[0], (values for _, values in itertools.chain((first,), rows)), None)
    path = Path(where)
    try:
        names = [names for names, _ in _rows_of(path, over)]
        if not names:
            raise Refused(f"{where} has no items")
    except OSError as error:
        raise Refused(f"--inputs {where}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"--inputs {where}: it is no text in UTF-8") from None
    return Items(names[0], _values_of(path, names[0]), len(names))


def _values_of(path: Path, over: tuple[str, ...]) -> Generator[tuple[Any, ...]]:
    with closing(_rows_of(path, over)) as rows:
        for _, values in rows:
            yield values


def _rows_of(path: Path, over: tuple[str, ...]) -> Generator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    with path.open(encoding="utf-8") as file:
        yield from _rows(file, str(path), over)


def _rows(file: Iterable[str], where: str, over: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    """The names and the values of each line; the names are the same for all."""
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise Refused(f"{where}, line {number}, is no JSON: {error.msg} at column {error.colno}") from None
        if not isinstance(value, dict):
            if len(over) != 1:
                raise Refused(
                    f"{where}, line {number}: give an object with inputs, or name the one that it is with --map-over"
                )
            yield over, (value,)
            continue
        item = cast("dict[str, Any]", value)
        over = over or tuple(item)
        if item.keys() != {*over}:
            has, wanted = ", ".join(item) or "nothing", ", ".join(over) or "something"
            raise Refused(f"{where}, line {number}, has {has}, and not {wanted}: give each line the same inputs")
        yield over, tuple(item[name] for name in over)
