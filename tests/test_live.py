"""Weak registries: what they hold, and what they do to the thread that drops an object."""

import gc
import os
import sys
import threading
from types import FrameType

import pytest

from tests.executors.child import wait_until
from weft._live import Live


class Thing:
    forked = False

    def after_fork_in_child(self) -> None:
        self.forked = True


def test_what_exists_is_there_and_nothing_else() -> None:
    live = Live[Thing]()
    one, other = Thing(), Thing()
    live.add(one)
    live.add(other)
    assert set(live.all()) == {one, other}
    del one
    gc.collect()
    assert live.all() == [other]


def test_forgetting_runs_no_python_code() -> None:
    """An interrupt that was posted to the thread would be raised in it, and swallowed: the task would go on."""
    live = Live[Thing]()
    one = Thing()
    live.add(one)
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        del one
    finally:
        sys.setprofile(None)
    assert called == []
    wait_until(lambda: live.all() == [], "it is forgotten")


def test_added_and_dropped_by_many_threads() -> None:
    live = Live[Thing]()
    kept: list[Thing] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(20)
        for number in range(2000):
            one = Thing()
            live.add(one)
            if number % 100 == 0:
                kept.append(one)
                assert one in live.all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    gc.collect()
    assert set(live.all()) == set(kept)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told() -> None:
    live = Live[Thing]()
    one = Thing()
    live.add(one)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if one.forked else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not one.forked
