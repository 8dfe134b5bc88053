"""Payloads for workers that somebody else has started: on a cluster, perhaps on another machine.

They are bytes, with all buffers in them, since any engine can carry bytes. Two things are otherwise than for workers
of weft's own: what is defined in ``__main__`` goes by value, as the worker's ``__main__`` is another program; and an
object may have another form for the way there (``__reduce_far__``).

`call` is what a worker runs. It needs weft there, and the modules of what goes by name.
Any thread. Pinned by tests/engines/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from weft._payloads.failures import dump_failure, load_failure
from weft._payloads.main_module import ALIAS
from weft._payloads.pickling import PayloadPickler, dump, load
from weft._payloads.references import dump_by_value, load_by_value

__all__ = ["FarPickler", "TaskSettings", "call", "dump_far", "given", "outcome_of", "pack", "run_chunk", "run_one"]

FAILED, GIVEN = b"\0", b"\1"


class TaskSettings(NamedTuple):
    """How a worker is to run a task: what `options()` was told."""

    timeout: float | None = None
    retries: int = 0
    backoff: float = 0.1
    retry_on: Any = Exception
    name: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether calling the function is all there is to do."""
        return self.timeout is None and not self.retries


class FarPickler(PayloadPickler):
    """Pickles for a worker whose ``__main__`` is not the caller's."""

    def reducer_override(self, obj: object, /) -> Any:
        far = getattr(type(obj), "__reduce_far__", None)
        if far is not None and not isinstance(obj, type):
            self.last = obj
            return far(obj)
        return super().reducer_override(obj)

    def reduce_named(self, thing: Any) -> Any:
        if getattr(thing, "__module__", None) in ("__main__", ALIAS):
            return load_by_value, (dump_by_value(thing, self.see),)
        return super().reduce_named(thing)


def dump_far(thing: object) -> bytes:
    """One object in bytes.

    Raises:
        Exception: What pickling it raised.
    """
    data, _, error = dump(thing, None, FarPickler)
    if data is None:
        assert error is not None
        raise error
    return data


def pack(
    fn: Callable[..., Any], args: Sequence[object], kwargs: dict[str, object], settings: TaskSettings, *, task: str
) -> bytes:
    """A call in bytes, for `call`.

    Raises:
        PayloadError: Something of it cannot be pickled; its ``path`` leads there.
        MissingDependency: Something can only go by value, and cloudpickle is not installed.
    """
    data, culprit, error = dump((settings, fn, tuple(args), kwargs), None, FarPickler)
    if data is not None:
        return data
    from weft._payloads.culprits import payload_error

    assert error is not None
    roots: dict[str, object] = {"fn": fn}
    roots |= {f"args[{index}]": value for index, value in enumerate(args)}
    roots |= {f"kwargs[{name!r}]": value for name, value in kwargs.items()}
    raise payload_error(error, culprit, roots, task=task) from error


def call(payload: bytes, *blobs: bytes) -> bytes:
    """Runs a call in a worker. Never raises: what the task raised is in what it gives.

    Args:
        payload: From `pack`.
        *blobs: Further arguments, in bytes of their own, which go before the others: they are many tasks' in common.

    Returns:
        For `outcome_of`.
    """
    try:
        settings, fn, args, kwargs = _received(payload)
        args = (*(_received(blob) for blob in blobs), *args)
        if settings.is_plain:
            result = fn(*args, **kwargs)
        else:
            from weft.executors import SerialExecutor

            with SerialExecutor() as serial:
                result = serial.options(**settings._asdict()).submit(fn, *args, **kwargs).result()
    except BaseException as error:  # it is the task's, whatever it is; the worker is not ours to end
        return FAILED + dump_failure(error)
    return given(result, {"result": result}, task=settings.name)


def given(result: object, roots: dict[str, object], *, task: str | None = None) -> bytes:
    """What a worker gives for a result: for `outcome_of`.

    Args:
        result: The result.
        roots: What it is made of, by the names that an error has for it.
        task: The name of the task, for an error.
    """
    try:
        data, culprit, error = dump(result, None, FarPickler)
        if data is None:
            from weft._payloads.culprits import payload_error

            assert error is not None
            raise payload_error(error, culprit, roots, task=task) from error
        return GIVEN + data
    except BaseException as error:
        return FAILED + dump_failure(error)


def _received(data: bytes) -> Any:
    try:
        return load(data)
    except ModuleNotFoundError as error:
        from weft.errors import PayloadError

        name = (error.name or "a module").partition(".")[0]
        raise PayloadError(
            f"the worker cannot import {name!r}, which a function or an argument is from; install it there, or send it "
            f"by value: cloudpickle.register_pickle_by_value({name})"
        ) from error


def outcome_of(data: bytes) -> tuple[Any, BaseException | None]:
    """The result of a call that came back, or what it raised."""
    if data[:1] == FAILED:
        return None, load_failure(data[1:])
    from weft._payloads.calling import unpack_result

    try:
        return unpack_result(memoryview(data)[1:]), None
    except Exception as error:
        return None, error


# ---- chunks of `map` -----------------------------------------------------------------------------------------


def run_chunk(fn: Callable[..., Any], items: list[Any], star: bool) -> tuple[list[Any], bytes | None, int, int]:
    """Results up to the first error, that error in bytes, the number of items, nanoseconds."""
    began = time.perf_counter_ns()
    results: list[Any] = []
    failed: bytes | None = None
    for item in items:  # all are worked on, whatever became of others
        try:
            result = fn(*item) if star else fn(item)
        except Exception as error:
            failed = failed or dump_failure(error)
        else:
            if failed is None:
                results.append(result)
    return results, failed, len(items), time.perf_counter_ns() - began


def run_one(fn: Callable[..., Any], items: list[Any], star: bool) -> tuple[list[Any], None, int, int]:
    """A chunk of one item whose error is the task's own, so that the options of a view apply to it."""
    began = time.perf_counter_ns()
    result = fn(*items[0]) if star else fn(items[0])
    return [result], None, 1, time.perf_counter_ns() - began
