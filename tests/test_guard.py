"""`Guard`: a lock that nothing leaves taken, neither an exception from outside nor a fork."""

import os
import signal
import threading

import pytest

from tests.executors.child import wait_until
from tests.guards import PATIENCE, held, is_free, is_in_guard, is_interrupted
from weft._locks import Guard


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


def test_who_is_interrupted_as_it_waits_leaves_it_free() -> None:
    guard = Guard()
    assert is_interrupted(guard, lambda: guard(int))
    assert is_free(guard)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_it_free() -> None:
    guard = Guard()
    with held(guard):
        child = os.fork()
        if not child:
            signal.alarm(10)  # ends it, if it waits
            guard(os._exit, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
