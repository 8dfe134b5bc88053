"""A `Guard` that another thread holds, and whether one waits for it."""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from tests.executors.child import wait_until
from weft import _core
from weft._locks import Guard
from weft.errors import Interrupted

PATIENCE = 20.0


@contextmanager
def held(guard: Guard) -> Generator[None]:
    """Has another thread hold it while the block runs."""
    has_it, release = threading.Event(), threading.Event()

    def hold() -> None:
        has_it.set()
        release.wait(PATIENCE)

    thread = threading.Thread(target=guard, args=(hold,))
    thread.start()
    assert has_it.wait(PATIENCE)
    try:
        yield
    finally:
        release.set()
        thread.join(PATIENCE)


def is_in_guard(thread: threading.Thread) -> bool:
    """Whether a thread asks for the lock of one."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is Guard.__call__.__code__


def is_interrupted(guard: Guard, call: Callable[[], object]) -> bool:
    """Whether a call that waits for the lock, and has an interrupt raised in it there, ends with that."""
    raised: list[bool] = []

    def wait() -> None:
        try:
            call()
        except Interrupted:
            raised.append(True)

    waiter = threading.Thread(target=wait)
    with held(guard):
        waiter.start()
        wait_until(lambda: is_in_guard(waiter), "it asks for the lock")
        assert waiter.ident is not None
        assert _core.raise_in_thread(waiter.ident, Interrupted)
    waiter.join(PATIENCE)
    return raised == [True]


def is_free(guard: Guard) -> bool:
    """Whether another thread can have it."""
    other = threading.Thread(target=guard, args=(int,), daemon=True)
    other.start()
    other.join(PATIENCE)
    return not other.is_alive()
