"""`Guard`: a lock that nothing leaves taken, neither an exception from outside nor a fork."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import pytest

from tests.executors.child import wait_until
from weft import _core
from weft._locks import Guard
from weft.errors import Interrupted

PATIENCE = 20.0


def is_free(guard: Guard) -> bool:
    """Whether another thread can have it."""
    other = threading.Thread(target=guard, args=(int,), daemon=True)
    other.start()
    other.join(PATIENCE)
    return not other.is_alive()


def hold(guard: Guard) -> Callable[[], None]:
    """Has another thread hold it; gives what ends that."""
    held, release = threading.Event(), threading.Event()

    def work() -> None:
        held.set()
        release.wait(PATIENCE)

    thread = threading.Thread(target=guard, args=(work,))
    thread.start()
    assert held.wait(PATIENCE)

    def end() -> None:
        release.set()
        thread.join(PATIENCE)

    return end


def test_it_gives_what_the_call_gives_and_is_free_again() -> None:
    guard = Guard()
    assert guard(divmod, 7, 2) == (3, 1)
    assert guard(guard, int, "3") == 3
    with pytest.raises(ZeroDivisionError):
        guard(divmod, 7, 0)
    assert is_free(guard)


def test_a_failure_within_a_call_within_a_call_leaves_the_outer_one_its_lock() -> None:
    guard = Guard()

    def outer() -> bool:
        with pytest.raises(ZeroDivisionError):
            guard(divmod, 7, 0)
        other = threading.Thread(target=guard, args=(int,))
        others.append(other)
        other.start()
        wait_until(lambda: is_in_guard(other), "it asks for the lock")
        return other.is_alive()

    others: list[threading.Thread] = []
    assert guard(outer)
    others[0].join(PATIENCE)
    assert not others[0].is_alive()


def is_in_guard(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is Guard.__call__.__code__


def test_who_is_interrupted_as_it_waits_leaves_it_free() -> None:
    guard = Guard()
    end = hold(guard)
    raised: list[bool] = []

    def wait() -> None:
        try:
            guard(int)
        except Interrupted:
            raised.append(True)
        ended.set()
        stay.wait(PATIENCE)  # what a thread holds at its end is not given back either

    ended, stay = threading.Event(), threading.Event()
    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(lambda: is_in_guard(waiter), "it asks for the lock")
    assert waiter.ident is not None
    assert _core.raise_in_thread(waiter.ident, Interrupted)
    end()
    assert ended.wait(PATIENCE)
    assert raised == [True]
    assert is_free(guard)
    stay.set()
    waiter.join(PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_it_free() -> None:
    guard = Guard()
    end = hold(guard)
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends it, if it waits
        guard(os._exit, 0)
    end()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
