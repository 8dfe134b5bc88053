"""Native loops on a pool: the GIL let go of, helpers that are ordinary tasks, and ends of every kind.

Invariants 2 and 4 for loops: a kernel does all of its work or raises, whoever helps, and Ctrl-C ends it soon.
"""

import sys
import threading
import time
from array import array
from typing import Any

import numpy as np
import pytest

from tests.executors.child import run_child, wait_until
from tests.executors.flavors import PATIENCE
from tests.executors.race import race
from tests.kernels.arrays import AUTO, SMALL_CHUNKS, numbers
from tests.kernels.conftest import MakePool
from tests.lateness import check_within
from weft import _core, kernels
from weft.errors import Interrupted, TaskTimeout
from weft.executors import ThreadPoolExecutor
from weft.kernels import _pool

HUGE = 2**40


def endless() -> tuple[Any, Any]:
    """Two matrices whose product takes half a minute of the slowest, exact, way of `matmul`."""
    return np.full((3000, 3000), HUGE, dtype="int64"), np.full((3000, 3000), -HUGE, dtype="int64")


class Blocked:
    """All workers of a pool, kept busy until the end of the block."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.gate = threading.Event()
        begun = threading.Barrier(pool.max_workers + 1)

        def hold() -> None:
            begun.wait(PATIENCE)
            self.gate.wait(PATIENCE)

        self.futures = [pool.submit(hold) for _ in range(pool.max_workers)]
        begun.wait(PATIENCE)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        for future in self.futures:
            future.result(PATIENCE)


class Spy(ThreadPoolExecutor):
    """Remembers what was submitted."""

    sent: list[Any]
    cancels = True

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future = super().submit(fn, *args, **kwargs)
        if fn is not _core.help_region:
            return future
        self.sent.append(future)
        return future if self.cancels else Deaf()


class Deaf:
    """What is left of a helper's future that its caller fails to cancel."""

    def cancel(self) -> bool:
        return False


@pytest.fixture
def spy(make_pool: MakePool) -> Any:
    make_pool(1)  # for its monkeypatched count of CPUs
    pool = Spy(3)
    pool.sent = []
    with pool:
        yield pool


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_other_threads_run_while_a_kernel_works(make_pool: MakePool, workers: int | None) -> None:
    pool = make_pool(workers) if workers else None
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1

    a = numbers("float64", 3_000_000)
    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        before, rounds = ticks[0], 0
        while ticks[0] < before + 100:  # with the GIL held, calls this short would rarely let it in
            held = ticks[0]
            _core.buffer_sort(pool, a, bool(rounds % 2), False, AUTO)
            rounds += 1
            assert rounds < 100
            if ticks[0] > held + 10:
                return
    finally:
        stop.set()
        ticker.join()


def test_helpers_are_tasks_of_the_pool(spy: Spy) -> None:
    a = numbers("float64", 3_000_000)
    done = []
    end = time.monotonic() + PATIENCE
    while not any(done):  # unless the caller was faster
        assert time.monotonic() < end
        _core.buffer_sort(spy, a, bool(len(done) % 2), False, AUTO)
        assert all(future.cancelled() or future.running() or future.done() for future in spy.sent)
        assert 0 < len(spy.sent) <= 3 * 2  # three loops, two helpers each
        done = [not future.cancelled() and future.result(PATIENCE) is None for future in spy.sent]
        spy.sent.clear()


def test_helpers_that_have_not_begun_are_cancelled(spy: Spy) -> None:
    a = numbers("float64", 1_000_000)
    with Blocked(spy):
        assert kernels.sum(a, executor=spy) == _core.kernel_reduce(None, a, "add")
        assert [future.cancelled() for future in spy.sent] == [True, True]
    assert spy.submit(pow, 2, 3).result(PATIENCE) == 8


def test_a_helper_that_comes_too_late_finds_the_meeting_closed(spy: Spy) -> None:
    spy.cancels = False
    a = array("d", [1.0]) * 1_000_000
    with Blocked(spy):
        assert kernels.sum(a, executor=spy) == 1_000_000
        del a  # its memory is gone when the helpers come
    assert [future.result(PATIENCE) for future in spy.sent] == [None, None]


def test_small_inputs_stay_in_the_caller(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels.sum(np.ones(100_000), executor=spy)
    kernels.matmul(np.ones((10, 10)), np.ones((10, 10)), executor=spy)
    assert spy.sent == []
    made: list[Any] = []
    monkeypatch.setattr(_pool, "default_pool", lambda: made.append(1) or spy)
    kernels.sum(np.ones(_pool.WORTH_A_POOL // 8 - 1))
    assert made == []
    kernels.sum(np.ones(_pool.WORTH_A_POOL // 8))
    assert made == [1]


def test_a_task_may_call_a_kernel_on_its_own_pool(make_pool: MakePool) -> None:
    """At any depth and with every worker in one: nobody waits for a helper that cannot begin (invariant 5)."""
    pool, a = make_pool(2), numbers("int64", 1_000_000)
    expected = sum(a.tolist())
    futures = [pool.submit(kernels.sum, a, executor=pool) for _ in range(20)]
    assert [future.result(PATIENCE) for future in futures] == [expected] * 20


def test_a_pool_that_is_full_gives_no_helpers(make_pool: MakePool) -> None:
    make_pool(1)
    with ThreadPoolExecutor(2, max_pending=1) as pool:
        with Blocked(pool):
            waiting = pool.submit(pow, 2, 3)
            assert kernels.sum(np.ones(1_000_000), executor=pool) == 1_000_000
            assert not waiting.done()
        assert waiting.result(PATIENCE) == 8


def test_a_pool_that_is_closed_is_refused_before_anything_is_done() -> None:
    pool = ThreadPoolExecutor(2)
    pool.shutdown()
    to = array("d", [1.0]) * 10
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        _core.buffer_fill(pool, to, 2.0, AUTO)
    assert set(to) == {1.0}


def test_a_loop_against_shutdown(make_pool: MakePool) -> None:
    """It is done whole, or refused."""

    class Case:
        def __init__(self) -> None:
            self.pool = make_pool(3)
            self.to = np.zeros(30_000)

        def fill(self) -> bool:
            try:
                _core.buffer_fill(self.pool, self.to, 1.0, SMALL_CHUNKS)
            except RuntimeError as refusal:
                assert "after shutdown" in str(refusal)  # noqa: PT017
                return False
            return True

    def check(case: Case, returned: list[Any]) -> None:
        assert returned[0] in (True, False), returned
        assert not returned[0] or case.to.all()
        case.pool.shutdown()

    race(Case.fill, lambda case: case.pool.shutdown(wait=False, cancel_futures=True), setup=Case, check=check)


def test_many_threads_and_one_pool(make_pool: MakePool) -> None:
    """Everything at once on the same memory; on the free-threaded build in parallel."""
    pool, a = make_pool(4), numbers("int64", 50_000)
    total, ordered = sum(a.tolist()), np.sort(a)

    def add(_: object) -> bool:
        return _core.buffer_reduce(pool, a, "add", None, SMALL_CHUNKS) == total

    def sort(_: object) -> bool:
        here = a.copy()
        _core.buffer_sort(pool, here, False, False, AUTO)
        return bool((here == ordered).all())

    def scan(_: object) -> bool:
        to = np.empty_like(a)
        _core.buffer_scan(pool, a, to, "max", True, None, SMALL_CHUNKS)
        return bool(to[-1] == ordered[-1])

    def find(_: object) -> bool:
        return _core.buffer_find(pool, a, "eq", a[40_000].item(), ("dynamic", 100)) == 40_000

    def check(_: object, returned: list[Any]) -> None:
        assert returned == [True] * 4

    race(add, sort, scan, find, setup=object, check=check)


def test_buffers_are_held_until_the_end(make_pool: MakePool) -> None:
    pool = make_pool(3)
    a = array("d", range(6_000_000, 0, -1))

    def is_held() -> bool:
        try:
            a.append(7_000_000.0)
            a.pop()
        except BufferError:  # perhaps only at the pop: then it has one more
            return True
        return False

    future = pool.submit(_core.buffer_sort, pool, a, False, False, AUTO)
    wait_until(lambda: is_held() or future.done(), "held")
    future.result(PATIENCE)
    assert not is_held()
    assert a[0] == 1.0


# ---- interrupts --------------------------------------------------------------------------------------------


def test_a_task_in_a_kernel_is_interrupted(make_pool: MakePool) -> None:
    pool, (a, b) = make_pool(2), endless()
    begun = threading.Event()

    def work() -> None:
        begun.set()
        kernels.matmul(a, b, executor=pool)

    future = pool.submit(work)
    assert begun.wait(PATIENCE)
    assert future.interrupt()
    start = time.monotonic()
    assert isinstance(future.exception(PATIENCE), Interrupted)
    check_within(time.monotonic() - start, 2)
    assert pool.submit(kernels.sum, np.ones(1_000_000), executor=pool).result(PATIENCE) == 1_000_000


def test_a_task_in_a_kernel_times_out(make_pool: MakePool) -> None:
    pool, (a, b) = make_pool(2), endless()
    future = pool.options(timeout=0.1).submit(kernels.matmul, a, b, executor=pool)
    error = future.exception(PATIENCE)
    assert isinstance(error, TaskTimeout)
    assert "stuck" not in str(error)  # it was stopped, not abandoned
    assert pool._stats()["abandoned"] == 0


CTRL_C = """
import os, signal, sys, threading, time
import numpy as np
from weft import kernels
from weft.executors import ThreadPoolExecutor

a = np.full((3000, 3000), 2**40, dtype="int64")
with ThreadPoolExecutor(2) as pool:
    sent = []
    def interrupt():
        while "matmul" not in {frame.f_code.co_name for frame in [sys._current_frames()[threading.main_thread().ident]]}:
            pass
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    interrupter = threading.Thread(target=interrupt)  # kept: Python swallows a signal where it destroys one
    interrupter.start()
    try:
        kernels.matmul(a, -a, executor=EXECUTOR)
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
    assert pool.submit(kernels.sum, a, executor=pool).result() == 2**40 * 9_000_000
"""


@pytest.mark.invariant(4)
@pytest.mark.parametrize("executor", ["pool", "ThreadPoolExecutor(1)"])
def test_ctrl_c_ends_a_kernel(executor: str) -> None:
    ended = run_child(CTRL_C.replace("EXECUTOR", executor))
    ended.check_sound()
    check_within(float(ended.output), 1, "on machines that others use; alone it is 0.1 s")


# ---- interpreters ------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters comes with Python 3.14")
def test_kernels_in_interpreters_with_a_gil_of_their_own() -> None:
    ended = run_child(
        '''
import threading
from concurrent import interpreters

INSIDE = """
from array import array
from weft import _core, kernels
from weft.executors import ThreadPoolExecutor, threads
threads.usable_cpus = lambda: 4
with ThreadPoolExecutor(3) as pool:
    a = array("q", range(1_000_000, 0, -1))
    for _ in range(3):
        assert kernels.sum(a, executor=pool) == 500_000_500_000
        _core.buffer_sort(pool, a, False, False, ("auto", 0))
        assert a[0] == 1 and a[-1] == 1_000_000
        try:
            kernels.dot(a, [1])
        except TypeError as error:
            assert "b must be a buffer" in str(error)
    assert kernels.max(a) == 1_000_000
"""

def run():
    interpreter = interpreters.create()
    interpreter.exec(INSIDE)
    interpreter.close()
    done.append(1)

done = []
several = [threading.Thread(target=run) for _ in range(3)]
for one in several:
    one.start()
exec(INSIDE)
for one in several:
    one.join()
print(len(done))
'''
    )
    ended.check_sound()
    assert ended.output == "3\n"


def test_daemon_threads_in_kernels_do_not_disturb_the_exit() -> None:
    ended = run_child(
        """
import threading
import numpy as np
from weft import _core
from weft.executors import ThreadPoolExecutor
pool, begun = ThreadPoolExecutor(2), threading.Barrier(4)

def work():
    a = np.random.default_rng(1).standard_normal(400_000)
    begun.wait()
    try:
        while True:
            _core.buffer_sort(pool, a, False, False, ("auto", 0))
            _core.buffer_scan(pool, a, a, "max", True, None, ("dynamic", 1))
    except RuntimeError:  # the pool has closed; three tracebacks at a time could hang the end of the free-threaded 3.13
        pass

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
""",
        WEFT_EXIT_GRACE="0.3",
    )
    ended.check_sound()
