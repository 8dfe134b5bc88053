"""What a pipeline is given: put together, checked before anything runs, and dealt out to items.

Errors name each input that is wrong, what is near to it, and what to do. Pinned by tests/pipelines/test_running.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from weft.errors import InvalidInputs, InvalidSetting, did_you_mean

if TYPE_CHECKING:
    from weft.pipelines._pipeline import Pipeline
    from weft.pipelines._plan import Plan

__all__ = ["MODES", "Items", "check", "checked_mode", "checked_over", "columns_of", "items_of", "merged", "rows_of"]

MODES = ("zip", "product")


def merged(pipeline: Pipeline, inputs: object, keywords: dict[str, Any]) -> dict[str, Any]:
    """The inputs given as a mapping and those given by keyword, together.

    Raises:
        InvalidInputs: The mapping is none, or an input is given both ways.
    """
    if inputs is None:
        return keywords
    if type(inputs) is dict and not keywords:
        return dict(cast("dict[str, Any]", inputs))
    if not isinstance(inputs, Mapping):
        problem = f"inputs has to be a mapping, such as {{'x': 1}}, not {type(inputs).__name__}"
        raise InvalidInputs(pipeline=pipeline.name, problems=[problem])
    given = dict(cast("Mapping[str, Any]", inputs))
    twice = given.keys() & keywords.keys()
    if twice:
        problem = f"{_named(sorted(twice))} given twice, in inputs and by keyword: leave one out"
        raise InvalidInputs(pipeline=pipeline.name, problems=[problem])
    return given | keywords


def check(pipeline: Pipeline, plan: Plan, given: Iterable[str]) -> None:
    """Refuses inputs that the pipeline does not have, and the lack of those that the plan needs.

    Raises:
        InvalidInputs: So it is.
    """
    given = set(given)
    if plan.required <= given <= plan.known_names:
        return
    missing = sorted(plan.required - given)
    unknown = sorted(given.difference(plan.known), key=str)
    problems = [_unknown(pipeline, name, missing) for name in unknown]
    problems += [_missing(pipeline, plan, name) for name in missing]
    raise InvalidInputs(pipeline=pipeline.name, problems=problems)


@dataclass(frozen=True, slots=True)
class Items:
    """What a pipeline is mapped over.

    Attributes:
        over: The names of the inputs that have an item for each run.
        rows: Their values for each item, in that order.
        shared: The other inputs.
        total: How many items there are; None if nobody knows.
    """

    over: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]
    shared: dict[str, Any]
    total: int | None


def _unknown(pipeline: Pipeline, name: object, missing: list[str]) -> str:
    if not isinstance(name, str):
        return f"{name!r} is no name of an input: inputs have strings for names"
    if name in pipeline.outputs:
        maker = next(one.name for one in pipeline.nodes if name in one.outputs)
        return f"{name!r} is what node {maker!r} gives, not an input: leave it out"
    guess = did_you_mean(name, tuple(missing)) or did_you_mean(name, pipeline.inputs)
    hint = f": did you mean {guess!r}?" if guess else ""
    there = ", ".join(map(repr, pipeline.inputs)) or "none"
    return f"there is no input {name!r}{hint or ':'} {'It has' if guess else 'it has'} {there}"


def _missing(pipeline: Pipeline, plan: Plan, name: str) -> str:
    users = [step.path for step in plan.steps for slot in step.args if (name, slot) in _slots(plan)]
    who = f", which node {users[0]!r} takes" if users else ""
    guess = did_you_mean(name, pipeline.outputs)
    hint = f"; did you mean {guess!r}, which a node gives? Rename the parameter" if guess else ""
    return f"input {name!r}{who}, is missing{hint}" if who else f"input {name!r} is missing{hint}"


def _slots(plan: Plan) -> set[tuple[str, int]]:
    return {(name, slot) for name, slot, _ in plan.parameters}


def _named(names: Sequence[str]) -> str:
    return (
        ("input " if len(names) == 1 else "inputs ")
        + ", ".join(map(repr, names))
        + (" is" if len(names) == 1 else " are")
    )


def checked_over(map_over: object, known: tuple[str, ...], setting: str = "map_over") -> tuple[str, ...]:
    """``map_over`` as a tuple of names that there are.

    Raises:
        InvalidSetting: It names none, one twice, or one that there is not.
    """
    names = (map_over,) if isinstance(map_over, str) else map_over
    if not isinstance(names, list | tuple) or not names:
        raise InvalidSetting(setting=setting, value=map_over, remedy="give the name of an input, or several")
    names = tuple(cast("list[str]", names))
    for name in names:
        if name not in known:
            raise InvalidSetting(setting=setting, value=name, allowed=known)
    if len({*names}) < len(names):
        raise InvalidSetting(setting=setting, value=map_over, remedy="name each input once")
    return names


def checked_mode(map_mode: object) -> str:
    if not isinstance(map_mode, str) or map_mode not in MODES:
        raise InvalidSetting(setting="map_mode", value=map_mode, allowed=MODES)
    return map_mode


def columns_of(
    pipeline: str | None, given: dict[str, Any], over: tuple[str, ...], mode: str, *, lazy: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs that have items, and the others.

    Args:
        pipeline: The pipeline's name, for the error.
        given: All inputs.
        over: The names of those that have items.
        mode: "zip" or "product".
        lazy: Whether any iterable will do; else it has to have a length.

    Raises:
        InvalidInputs: One is missing, is no sequence, or they differ in length.
    """
    problems: list[str] = []
    lengths: dict[str, int] = {}
    columns: dict[str, Any] = {}
    for name in over:
        if name not in given:
            problems.append(f"input {name!r}, which map_over names, is missing")
            continue
        value = columns[name] = given[name]
        if isinstance(value, str | bytes | bytearray | Mapping) or not _has_items(value, lazy=lazy):
            how = "list(...) of it" if isinstance(value, Iterable) and not isinstance(value, str | bytes) else "a list"
            more = "" if lazy or not isinstance(value, Iterator) else ", or use imap, which takes any iterable"
            kind = type(cast("object", value)).__name__
            problems.append(f"input {name!r}, which map_over names, has to be a sequence, not {kind}: give {how}{more}")
        elif hasattr(value, "__len__"):
            lengths[name] = len(value)
    if mode == "zip" and not problems and len({*lengths.values()}) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        problems.append(f"inputs that are mapped over together have to have the same length: {told}; or use 'product'")
    if problems:
        raise InvalidInputs(pipeline=pipeline, problems=problems)
    return columns, {name: value for name, value in given.items() if name not in columns}


def _has_items(value: object, *, lazy: bool) -> bool:
    if lazy:
        return isinstance(value, Iterable) or hasattr(value, "__getitem__")
    # Sets have a length too, but an order that nobody chose.
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def items_of(columns: dict[str, Any], shared: dict[str, Any], mode: str) -> Items:
    """What a pipeline is mapped over, of what `columns_of` gave."""
    lengths = [len(one) for one in columns.values() if hasattr(one, "__len__")]
    total = None
    if len(lengths) == len(columns):
        total = math.prod(lengths) if mode == "product" else min(lengths)
    return Items(tuple(columns), rows_of(columns, mode), shared, total)


def rows_of(columns: dict[str, Any], mode: str) -> Iterator[tuple[Any, ...]]:
    """The inputs that differ, for each item, in order; the last of a product's changes fastest."""
    values = columns.values()
    if mode == "product":
        return _product(*values)
    return zip(*values, strict=True)


def _product(first: Iterable[Any], *others: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """As `itertools.product`, which would read all of the first before it gives anything."""
    if not others:
        return ((one,) for one in first)
    rest = list(itertools.product(*others))
    return ((one, *other) for one in first for other in rest)
