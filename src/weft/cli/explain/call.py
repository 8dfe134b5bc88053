"""Calls the function once, on a thread, and measures what `auto` would. Runs in a process of its own.

Pinned by tests/cli/test_explain.py.
"""

from collections.abc import Iterator
from time import perf_counter_ns, process_time_ns, thread_time_ns
from typing import Any, cast

from weft import capabilities
from weft._flavors import make_executor
from weft._payloads.moved import there_and_back
from weft._payloads.pickling import dump
from weft.cli.explain.examine import find_or_say
from weft.executors import ThreadPoolExecutor
from weft.executors._portable import Trial

__all__ = ["answer"]


def answer(argument: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Evaluates the arguments, calls it, and sends a parcel of the same weight there and back."""
    text, expression = argument
    target, problem = find_or_say(text)
    if target is None:
        yield problem
        return
    try:
        value = eval(expression, dict(vars(target.module)))
    except Exception as error:
        yield {"part": "problem", "found": False, "message": f"--call {expression!r}: {type(error).__name__}: {error}"}
        return
    args = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)
    takes, why_not_taken = _weight(args)
    trial = Trial(target.value, (args, {}))
    yield {"part": "call", "started": True, "arguments": repr(args)[:200]}
    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(_measured, target.value, args).result()
    result = measured.pop("result")
    if measured["raised"] is not None:
        yield {"part": "call", **measured}
        return
    gives, why_not_given = _weight(result)
    yield {
        "part": "call",
        **measured,
        "gives": type(result).__name__,
        "arguments_bytes": takes,
        "arguments_why_not": why_not_taken,
        "result_bytes": gives,
        "result_why_not": why_not_given,
        "why_not": trial.ended(result, gives_nothing=result is None),
    }
    for flavor in ("interpreters", "processes"):
        if flavor == "processes" or capabilities().interpreters:
            yield {"part": "crossing", "flavor": flavor, **_crossing(flavor, target.value, args, result)}


def _measured(fn: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    result, raised = None, None
    delayed = _delayed()
    wall, cpu, everybody = perf_counter_ns(), thread_time_ns(), process_time_ns()
    try:
        result = fn(*args)
    except Exception as error:
        raised = f"{type(error).__name__}: {error}".partition("\n")[0]
    wall, cpu, everybody = perf_counter_ns() - wall, thread_time_ns() - cpu, process_time_ns() - everybody
    return {
        "wall": wall / 1e9,
        "cpu": cpu / 1e9,
        "process_cpu": everybody / 1e9,
        "delayed": min(_delayed() - delayed, wall - cpu) / 1e9 if wall > cpu else 0.0,
        "raised": raised,
        "result": result,
    }


def _delayed() -> int:
    """Nanoseconds that this thread was ready to run and had no CPU, so far; 0 where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _weight(thing: object) -> tuple[int | None, str | None]:
    """The bytes that it is when it is sent; or why it cannot be."""
    buffers: list[Any] = []
    data, culprit, error = dump(thing, buffers)
    if data is None:
        return None, f"{type(error).__name__}: {error} (at a {type(culprit).__name__})".replace("\n", " ")
    return len(data) + sum(buffer.raw().nbytes for buffer in buffers), None


def _crossing(flavor: str, fn: Any, args: tuple[Any, ...], result: Any) -> dict[str, Any]:
    """As the adaptive executor tries it, before it moves a function."""
    try:
        executor, _ = make_executor(flavor, 1, None)
        with executor:
            inputs: tuple[Any, ...] = (args, {})
            executor.submit(there_and_back, fn, inputs, result).result()
            began = thread_time_ns()
            for _ in range(2):
                executor.submit(there_and_back, fn, inputs, result).result()
            return {"seconds": (thread_time_ns() - began) / 2e9, "why_not": None}
    except Exception as error:
        return {"seconds": None, "why_not": f"{type(error).__name__}: {error}".partition("\n")[0]}
