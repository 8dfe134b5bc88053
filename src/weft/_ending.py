"""How an executor is ended whose tasks have lost their purpose: in steps, each bounded in time.

Ask (waiting tasks are cancelled, new ones refused), wait, interrupt (tasks of weft's own pools) or terminate
(processes), wait again, report. Any executor of the standard library's interface can be ended like this.
`shutdown` has no bound; weft's pools can be waited for with one, for others it runs in a thread of its own.
Pinned by tests/test_run.py.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


def stop(executor: Executor, grace: float) -> list[str] | None:
    """Ends an executor: no new tasks, no waiting tasks, and the running ones have a while to finish.

    Args:
        executor: The executor.
        grace: What running tasks may take, in seconds, and again after they have been interrupted.

    Returns:
        None if all workers have ended; else the names of the tasks that still run, as far as they are known.
    """
    # The standard library's pool forgets its children when it is shut down, so they are noted before.
    children: dict[int, Any] = dict(getattr(executor, "_processes", None) or {})
    ends_within = _shut_down(executor)
    if ends_within(grace):
        return None
    for future, _ in _running_tasks(executor):
        future.interrupt()
    for child in children.values():
        child.terminate()
    return None if ends_within(grace) else [name for _, name in _running_tasks(executor)]


def _shut_down(executor: Executor) -> Callable[[float], bool]:
    """Shuts an executor down, without waiting; gives a function that waits so many seconds for its workers."""
    wait_left: Callable[[float], bool] | None = getattr(executor, "_wait_left", None)
    if wait_left is not None:  # a pool of weft's
        executor.shutdown(wait=False, cancel_futures=True)
        return wait_left
    # A daemon: should a task never end, this thread must not be one more that keeps Python from exiting.
    waiter = threading.Thread(
        target=executor.shutdown,
        kwargs={"wait": True, "cancel_futures": True},
        name="weft-run-end",
        daemon=True,
    )
    waiter.start()

    def ends_within(seconds: float) -> bool:
        waiter.join(seconds)
        return not waiter.is_alive()

    return ends_within


def _running_tasks(executor: Executor) -> list[tuple[Any, str]]:
    """The futures and names of the tasks that run now, where the executor can tell: weft's own can."""
    running: Callable[[], list[tuple[Any, str | None, int]]] | None = getattr(executor, "_running", None)
    return [] if running is None else [(future, name or "(no name)") for future, name, _ in running()]


async def in_own_thread(wait: Callable[[], None]) -> None:
    """Awaits something that blocks, in a thread of its own, under asyncio or trio.

    Not on the loop's default executor, which may be the very one that is waited for. Cancelling ends the
    await, not the thread.

    Args:
        wait: What blocks.
    """
    from weft.aio import wrap_future

    done: Future[None] = Future()
    done.set_running_or_notify_cancel()  # so that cancelling the await leaves it alone

    def run() -> None:
        try:
            wait()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="weft-run-end", daemon=True).start()
    await wrap_future(done)
