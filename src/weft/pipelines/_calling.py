"""One call of one step: with its time limit, again if it fails, and to its end if it is asynchronous or a generator.

In the thread that calls: a time limit interrupts it there. Asynchronous functions get an event loop of their own,
unless the caller is asynchronous too (`_awaiting`).
Pinned by tests/pipelines/test_retries.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from weft.errors import PipelineError

if TYPE_CHECKING:
    from weft.executors import SerialExecutor
    from weft.pipelines._plan import Step
    from weft.pipelines._work import Options

__all__ = ["attempts", "call_once", "finished", "forget", "pause_before", "refuse_loop"]

LONGEST_PAUSE = 60.0


def call_once(step: Step, args: tuple[Any, ...], timeout: float | None) -> Any:
    """Calls a step once, and gives its result.

    Raises:
        TaskTimeout: It took too long, and was interrupted.
    """
    if timeout is None:
        return finished(step, step.call(args))
    view = _timekeeper().options(timeout=timeout, name=step.path)
    return view.submit(_whole, step, args).result()


def _whole(step: Step, args: tuple[Any, ...]) -> Any:
    return finished(step, step.call(args))


def finished(step: Step, result: Any) -> Any:
    """What a call comes to in the end."""
    kind = step.kind
    if kind == "plain" or kind == "map":
        return result
    if kind == "generator":
        return list(result)
    import asyncio

    refuse_loop(step.path)
    return asyncio.run(result if kind == "async" else collected(result))


async def collected(items: Any) -> list[Any]:
    return [one async for one in items]


def refuse_loop(name: str) -> None:
    """Refuses to run what has asynchronous nodes where a loop runs already, which would stand still meanwhile.

    Raises:
        RuntimeError: One does.
    """
    from weft.aio._library import running_library

    try:
        library = running_library()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{name!r} is asynchronous, and {library} runs in this thread: use `await pipeline.arun(...)`, or amap"
    )


_serial: SerialExecutor | None = None


def _timekeeper() -> SerialExecutor:
    """What runs calls with a time limit, in whatever thread they are made."""
    global _serial
    serial = _serial  # which another thread may forget in between
    if serial is None:
        from weft.executors import SerialExecutor

        serial = _serial = SerialExecutor()
    return serial


def forget() -> None:
    """Ends what runs calls with a time limit; the next one makes it anew."""
    global _serial
    serial, _serial = _serial, None
    if serial is not None:
        serial.shutdown()


def _after_fork_in_child() -> None:
    global _serial
    _serial = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def attempts(
    step: Step,
    args: tuple[Any, ...],
    options: Options,
    on_retry: Callable[[int, BaseException], None] | None,
    tries: list[int],
) -> Any:
    """Calls a step, again and again if it fails and that is wanted; raises what the last try has raised.

    Args:
        step: The step.
        args: Its inputs.
        options: How often, and how long.
        on_retry: Told before another try.
        tries: Has one number, which counts them.
    """
    while True:
        try:
            return call_once(step, args, options.timeout)
        except PipelineError:
            raise  # of a pipeline in it, whose nodes have had their tries
        except Exception as error:
            if tries[0] > options.retries or not isinstance(error, options.retry_on):
                raise
            tries[0] += 1
            if on_retry is not None:
                on_retry(tries[0], error)
            time.sleep(pause_before(tries[0], options.backoff))


def pause_before(attempt: int, backoff: float) -> float:
    """Seconds to wait before a try, of which the second is the first retry."""
    return min(backoff * 2.0 ** (attempt - 2), LONGEST_PAUSE)
