"""What `options()` takes, checked; and how it becomes the core's `TaskOptions`.

A wrong value is refused here, at once, with the name of the option: the core only looks at types.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Iterable
from typing import Any, Literal, cast

from weft import errors
from weft._core import TaskOptions

type RetryOn = type[BaseException] | tuple[type[BaseException], ...]
type ContextOption = contextvars.Context | Literal["copy", "empty"]

_PRIORITIES = range(-1000, 1001)


def _seconds(option: str, value: object, *, positive: bool) -> float:
    remedy = f"give seconds, {'more than' if positive else 'at least'} 0"
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise errors.InvalidSetting(setting=option, value=value, remedy=remedy)
    if value < 0 or (positive and value == 0):
        raise errors.InvalidSetting(setting=option, value=value, remedy=remedy)
    return float(value)


def _whole(option: str, value: object, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        remedy = f"give a whole number from {allowed.start} to {allowed.stop - 1}"
        raise errors.InvalidSetting(setting=option, value=value, remedy=remedy)
    return value


def _is_exception_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _retry_on(value: object) -> RetryOn:
    classes = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    for one in classes:
        if not _is_exception_class(one):
            remedy = "give an exception class, or a tuple of them"
            raise errors.InvalidSetting(setting="retry_on", value=one, remedy=remedy)
    return cast("RetryOn", value)


def checked_string(name: str, value: object) -> str:
    """`value`, if it is a string.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    return value


def checked_initargs(value: object) -> tuple[Any, ...]:
    """`initargs`, as a tuple.

    Raises:
        TypeError: it is no collection of arguments, or a string, which would be taken apart.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"initargs must be a tuple of arguments, not {value!r}; a single one is ({value!r},)")
    return tuple(cast("Iterable[Any]", value))


def checked_seed(value: object) -> int:
    """`seed`, if it is a whole number.

    Raises:
        weft.errors.InvalidSetting: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise errors.InvalidSetting(setting="seed", value=value, remedy="give a whole number, or None")
    return value


def make_task_options(
    *,
    timeout: float | None,
    retries: int,
    backoff: float,
    retry_on: RetryOn,
    priority: int,
    name: str | None,
    context: ContextOption,
) -> TaskOptions:
    """Check the options of a view and pack them for the core.

    Raises:
        weft.errors.InvalidSetting: a value is not allowed; names the option and what is.
    """
    if timeout is not None:
        timeout = _seconds("timeout", timeout, positive=True)
    if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidSetting(setting="name", value=name, remedy="give a string")
    if not isinstance(context, contextvars.Context) and context not in ("copy", "empty"):
        remedy = "give 'copy' (each task sees a copy of its submitter's), 'empty', or a contextvars.Context to run in"
        raise errors.InvalidSetting(setting="context", value=context, remedy=remedy)
    return TaskOptions(
        timeout,
        _whole("retries", retries, range(1_000_001)),
        _seconds("backoff", backoff, positive=False),
        _retry_on(retry_on),
        _whole("priority", priority, _PRIORITIES),
        name,
        context,
    )
