"""Stopped from outside: Ctrl-C, `interrupt`, `cancel`, a time limit, a pool that is shut down, a fork."""

import logging
import os
import re
import select
import signal
import sys
import threading
import time
from typing import Any

import pytest

from tests.executors.child import finish_child, start_child, times, wait_until
from tests.lateness import Late, check_within
from weft.errors import Interrupted, PoolForked, TaskTimeout
from weft.execution import dynamic_chunk_size, par, static_chunk_size, task
from weft.executors import ThreadPoolExecutor
from weft.parallel import for_each, for_loop

# Where Python destroys a Thread, a callback of a WeakSet of `threading` runs, and what comes into that is swallowed.
SWALLOWED = re.compile(
    r"Exception ignored in: <function WeakSet\..*\nTraceback .*\n(?:  .*\n)*(?:weft\.errors\.Interrupted|KeyboardInterrupt).*\n"
)

CHUNKS = [static_chunk_size(), dynamic_chunk_size(1), par.chunks]


def spin(_: Any) -> None:
    while True:
        pass


@pytest.mark.parametrize("chunks", CHUNKS, ids=repr)
def test_interrupting_the_future_stops_all_of_it(chunks: Any, four: ThreadPoolExecutor) -> None:
    begun: list[int] = []

    def body(index: int) -> None:
        begun.append(index)
        spin(index)

    future = for_loop(par.with_(chunks)(task).on(four), 0, 100, body)
    wait_until(lambda: len(begun) == 4, "all workers are at it")
    assert future.interrupt()
    with pytest.raises(Interrupted):
        future.result(30)
    assert len(begun) == 4
    assert four.submit(pow, 2, 3).result(30) == 8
    wait_until(lambda: not four._running(), "nothing runs any more")


def test_a_future_that_has_not_begun_can_be_cancelled(two: ThreadPoolExecutor) -> None:
    gate = threading.Event()
    held = [two.submit(gate.wait, 30) for _ in range(2)]
    wait_until(lambda: all(future.running() for future in held), "both workers are busy")
    seen: list[int] = []
    future = for_each(par(task).on(two), range(10), seen.append)
    assert future.cancel()
    gate.set()
    two.shutdown()
    assert seen == []


def test_a_time_limit_of_the_view_ends_the_algorithm(two: ThreadPoolExecutor) -> None:
    """The caller's own share has no limit; a helper's has."""
    stuck = threading.Event()

    def body(index: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            stuck.set()
            spin(index)
        assert stuck.wait(30)

    with pytest.raises(TaskTimeout):
        for_loop(par.with_(dynamic_chunk_size(1)).on(two.options(timeout=0.25)), 0, 10_000, body)


def test_a_retry_does_not_lose_a_chunk(two: ThreadPoolExecutor) -> None:
    """Options of a view may run a helper that was stopped again; what it had taken is not done, and that is said."""
    stuck = threading.Event()

    def body(index: int) -> None:
        if threading.current_thread() is not threading.main_thread() and not stuck.is_set():
            stuck.set()
            spin(index)
        assert stuck.wait(30)

    view = two.options(timeout=0.25, retries=3, backoff=0.001, retry_on=BaseException)
    with pytest.raises((Interrupted, TaskTimeout)):
        for_loop(par.with_(dynamic_chunk_size(1)).on(view), 0, 10_000, body)


def test_a_pool_that_is_shut_down_meanwhile_lets_it_finish() -> None:
    pool = ThreadPoolExecutor(2)
    seen: list[int] = []

    def body(index: int) -> None:
        if index == 10:
            pool.shutdown(wait=False)
        if index == 50:
            pool.shutdown(wait=False, cancel_futures=True)
        seen.append(index)

    for_loop(par.with_(dynamic_chunk_size(1)).on(pool), 0, 1000, body)
    assert sorted(seen) == list(range(1000))
    pool.shutdown()


def test_a_pool_whose_initializer_fails() -> None:
    from weft.errors import InitializerFailed

    def fail() -> None:
        raise ValueError("no")

    with ThreadPoolExecutor(2, initializer=fail) as pool:
        done: list[int] = []

        def body(index: int) -> None:
            wait_until(lambda: pool._broken_by() is not None, "the pool has found out")
            done.append(index)

        logging.getLogger("weft").setLevel(logging.CRITICAL)
        try:
            for_loop(par.with_(dynamic_chunk_size(1)).on(pool), 0, 3, body)
        except InitializerFailed:
            pass
        else:  # whoever called was through with all of it before its helpers were told
            assert sorted(done) == [0, 1, 2]
        finally:
            logging.getLogger("weft").setLevel(logging.NOTSET)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_inside_is_refused_in_the_child(two: ThreadPoolExecutor) -> None:
    parent = os.getpid()
    status: list[int] = []

    def body(index: int) -> None:
        if index == 0:
            child = os.fork()
            if child:
                status.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    try:
        for_loop(par.with_(static_chunk_size(500)).on(two), 0, 1000, body)
    except PoolForked:
        os._exit(7 if os.getpid() != parent else 8)
    except BaseException:
        os._exit(9)
    if os.getpid() != parent:
        os._exit(10)
    assert status == [7]


# ---- Ctrl-C

ALGORITHMS = {
    "for_loop, spinning": "for_loop(policy, 0, 100, spin)",
    "for_loop, stuck in C": "for_loop(policy, 0, 100, stuck)",
    "for_loop, short elements": "for_loop(policy, 0, 10**9, abs)",
    "for_each over an endless source": "for_each(policy, itertools.count(), abs)",
    "transform": "transform(policy, range(10**6), [0] * 10**6, lambda x: time.sleep(0.001))",
    "reduce": "reduce(policy, range(10**9))",
    "sort by a slow key": "sort(policy, list(range(1000)), key=lambda x: time.sleep(0.01) or x)",
    "a future": "for_loop(policy(task), 0, 100, spin).result()",
    "a source that is stuck": "for_each(policy, iter(nap, True), abs)",
    "nested": "for_loop(policy, 0, 10, lambda _: for_loop(policy, 0, 10, spin))",
    "many small ones": "[for_loop(policy, 0, 20, abs) for _ in range(10**7)]",
}

CHILD = r"""
import gc, itertools, os, sys, threading, time
import weft
from weft.execution import *
from weft.executors import ThreadPoolExecutor
from weft.parallel import *

hold = threading.Event()

def say(text):
    os.write(1, (text + "\n").encode())

def spin(_):
    while not hold.is_set():
        pass

def nap():
    # In slices: Python itself sleeps on if a signal comes just before a sleep begins. No waiting for an event: Python's own
    # condition breaks if a KeyboardInterrupt comes between its lock and its block.
    time.sleep(0.02)
    return hold.is_set()

def stuck(_):
    if threading.current_thread() is not threading.main_thread():
        hold.wait(30)
    while not nap():
        pass

import logging
logging.getLogger("weft").setLevel(logging.CRITICAL)  # what is stuck is said there, and expected
for line in sys.stdin:
    hold.clear()
    pool = ThreadPoolExecutor(3)
    kind, _, line = line.partition("|")
    policy = eval(kind).on(pool)
    gc.collect()  # a finalizer swallows the KeyboardInterrupt that comes into it
    try:
        say("ready")
        exec(compile(line, "algorithm", "exec"))
        say("came through")
    except KeyboardInterrupt:
        say(f"caught {time.monotonic()}")
    finally:
        hold.set()
        pool.shutdown(cancel_futures=True)
        del pool, policy
end = time.monotonic() + 10
while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
    time.sleep(0.01)
say(f"threads {len(os.listdir('/proc/self/task'))}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sends signals, watches processes through pidfds")
@pytest.mark.deadline(300)
@pytest.mark.invariant(4)
def test_ctrl_c_ends_every_algorithm_at_once() -> None:
    took: dict[str, list[float]] = {}
    with start_child(CHILD) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(times(10, 1)):
            for kind in ("par", "par.with_(dynamic_chunk_size(1))", "seq", "par.with_(static_chunk_size())"):
                for what, statement in ALGORITHMS.items():
                    if kind.endswith("static_chunk_size())") and "count()" in statement:
                        continue  # reads all of it first
                    process.stdin.write(f"{kind}|{statement}\n")
                    process.stdin.flush()
                    assert process.stdout.readline() == "ready\n", what
                    time.sleep(0.02 + 0.007 * (number % 7))  # it is most likely at work; if not, so much the better
                    sent = time.monotonic()
                    process.send_signal(signal.SIGINT)
                    lost = not select.select([process.stdout], [], [], 5)[0]
                    if lost:
                        process.send_signal(signal.SIGINT)
                        if not select.select([process.stdout], [], [], 20)[0]:
                            process.send_signal(signal.SIGABRT)  # its stacks are in the errors
                    answer = process.stdout.readline().split()
                    if not answer:
                        pytest.fail(f"{kind}, {what}: {process.communicate()[1]}")
                    assert answer[:1] == ["caught"], f"{kind}, {what}: {answer}"
                    if lost:  # in a finalizer: Python reports a KeyboardInterrupt there, and goes on
                        raise Late(f"{kind}, {what}: ended by the second Ctrl-C")
                    took.setdefault(f"{kind}, {what}", []).append(float(answer[1]) - sent)
        process.stdin.close()
        process.stdin = None
        ended = finish_child(process, 30)
    ended.check_sound()
    for what, seconds in took.items():
        print(f"{what}: {1e3 * max(seconds):.0f} ms")
    for what, seconds in took.items():
        check_within(max(seconds), 0.2, what)
    assert ended.output.splitlines()[-1] == "threads 1"
    errors = SWALLOWED.sub("", ended.errors)
    assert "Traceback" not in errors, errors
    assert "Exception ignored" not in errors, errors
