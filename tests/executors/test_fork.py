"""os.fork() while pools are busy: the child makes its own, the parent goes on. Invariants 2 and 3.

In child interpreters, so that what a fork copies is what a program has, and not what the test runner has.
"""

import json
import os
import sys

import pytest

from tests.executors.child import run_child, times
from tests.lateness import check_within

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# Python says that forking a process with threads is unwise. It is: that is what is tried here.
SUPPORT = r"""
import concurrent.futures as stdlib, faulthandler, fcntl, os, random, select, signal, sys, threading, time, warnings
faulthandler.register(signal.SIGALRM, chain=True)
warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
import weft
from weft.errors import PoolForked, TaskTimeout
from weft.executors import SerialExecutor, ThreadPoolExecutor

def spin():
    while True:
        pass

def work(index):
    return sum(range(index % 50)) * 0 + index

def in_child(body, by_exit=False):
    # Forks; the child runs body and ends with status 0 if nothing went wrong.
    pid = os.fork()
    if pid == 0:
        signal.alarm(25)  # faulthandler's own watchdog is a thread, which a grandchild would wait for
        status = 9
        try:
            body()
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stderr.flush()
        if by_exit:
            sys.exit(status)
        os._exit(status)
    return pid

def reap(pid):
    watch = os.pidfd_open(pid)
    if not select.select([watch], [], [], 30)[0]:
        os.kill(pid, signal.SIGABRT)
        time.sleep(1)
        os.kill(pid, signal.SIGKILL)
    os.close(watch)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def use_own_pool():
    with ThreadPoolExecutor(3) as own:
        assert [f.result(10) for f in [own.submit(work, i) for i in range(200)]] == list(range(200))
        assert list(own.map(work, range(300))) == list(range(300))
        assert list(own.map(work, range(50), buffersize=5)) == list(range(50))
        assert len(stdlib.wait([own.submit(work, i) for i in range(20)], 10).done) == 20
        def down(left):
            return 0 if left == 0 else own.submit(down, left - 1).result() + 1
        assert own.submit(down, 60).result(10) == 60
    assert own._stats()["workers"] == 0

def use_timeouts():
    with ThreadPoolExecutor(1) as own:
        assert isinstance(own.options(timeout=0.02).submit(spin).exception(10), TaskTimeout)
        tries = []
        def second_time():
            tries.append(1)
            if len(tries) < 2:
                raise ValueError
            return "ok"
        assert own.options(retries=2, backoff=0.001).submit(second_time).result(10) == "ok"

def use_default_pool():
    assert weft.async_(work, 7).result(10) == 7
    with SerialExecutor() as serial:
        assert serial.submit(work, 8).result() == 8
"""

BUSY_PARENT = (
    SUPPORT
    + r"""
seed, count = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
pool = ThreadPoolExecutor(3, max_pending=100_000)
pool.submit(work, 1).result()
weft.async_(work, 1).result()
assert isinstance(pool.options(timeout=0.01).submit(spin).exception(), TaskTimeout)  # there is a timer thread
stop = threading.Event()
done = [0]

def feed():
    # Keeps all queues moving while the main thread forks: tasks, timeouts, retries, maps, waits in the stdlib's way.
    while not stop.is_set():
        futures = [pool.submit(work, i) for i in range(50)]
        futures += [pool.options(timeout=5).submit(work, i) for i in range(5)]
        futures += [pool.options(priority=3).submit(work, i) for i in range(5)]
        nested = pool.submit(lambda: pool.submit(work, 3).result())
        assert list(pool.map(work, range(40))) == list(range(40))
        stdlib.wait(futures)
        assert nested.result() == 3
        done[0] += len(futures)

feeder = threading.Thread(target=feed)
feeder.start()
gate = threading.Event()
statuses = {}
for number in range(count):
    pending = pool.submit(gate.wait, 60)  # occupies a worker, so that what follows is still queued or running
    inherited = pool.submit(work, number)
    finished = pool.submit(work, number)
    finished.result()
    uses = chance.sample([use_own_pool, use_timeouts, use_default_pool], chance.randint(1, 3))

    def body():
        for use in uses:
            use()
        if chance.random() < 0.5:
            for ask in (pending.result, pending.exception, lambda: pending.result(5), lambda: stdlib.wait([pending], 5),
                        lambda: list(stdlib.as_completed([pending], 5)), lambda: pool.submit(work, 1),
                        lambda: list(pool.map(work, range(3)))):
                try:
                    ask()
                except PoolForked:
                    continue
                raise AssertionError(ask)
        assert finished.result() == number  # what had settled stays settled
        if chance.random() < 0.5:
            pool.shutdown(wait=True)

    seed_of_child = chance.random()
    pid = in_child(lambda: (chance.seed(seed_of_child), body()), by_exit=chance.random() < 0.3)
    status = reap(pid)
    statuses[status] = statuses.get(status, 0) + 1
    gate.set()
    assert inherited.result(20) == number
    assert pending.result(20) is True
    gate.clear()
stop.set()
feeder.join()
assert done[0] > 0
assert pool.submit(work, 5).result(20) == 5
pool.shutdown()
import json
print("statuses", json.dumps(statuses), flush=True)
print("exit", time.monotonic(), flush=True)
"""
)


@pytest.mark.deadline(900)
def test_fork_while_the_pool_is_busy(rng) -> None:
    seed, count = rng.randrange(1 << 30), times(200, 20)
    print(f"seed {seed}")
    ended = run_child(BUSY_PARENT, str(seed), str(count), seconds=840)
    ended.check_sound()
    statuses = next(line for line in ended.output.splitlines() if line.startswith("statuses "))
    assert json.loads(statuses.removeprefix("statuses ")) == {"0": count}, ended.errors
    assert ended.errors == ""


FORK_IN_A_TASK = (
    SUPPORT
    + r"""
def forks(how):
    if how == "returns":
        pid = os.fork()
        return pid  # in the child too
    return in_child({"own": use_own_pool, "timeouts": use_timeouts, "default": use_default_pool}[how])

with ThreadPoolExecutor(2) as pool:
    ran = pool.submit(lambda: None)
    marker = os.memfd_create("marker")
    fcntl.fcntl(marker, fcntl.F_SETFL, os.O_APPEND)  # two that write at once would share a place otherwise
    for how in sys.argv[1:]:
        # Work queued behind the forking task must run in the parent only, and once.
        gate = threading.Event()
        blocker = pool.submit(gate.wait, 20)
        future = pool.submit(forks, how)
        queued = [pool.submit(os.write, marker, b"x") for _ in range(100)]
        pid = future.result(20)
        print(how, "child", reap(pid), flush=True)
        gate.set()
        assert blocker.result(20) and all(one.result(20) == 1 for one in queued)
    print("marks", os.fstat(marker).st_size, flush=True)
print("exit", time.monotonic(), flush=True)
"""
)


def test_a_task_that_forks() -> None:
    """Its child may use pools of its own; it is no worker of the parent's pool, and runs none of its tasks."""
    ended = run_child(FORK_IN_A_TASK, "own", "timeouts", "default", "own")
    ended.check_sound()
    assert [line for line in ended.output.splitlines() if "child" in line] == [
        "own child 0",
        "timeouts child 0",
        "default child 0",
        "own child 0",
    ], ended.errors
    assert "marks 400" in ended.output


def test_a_task_that_forks_and_returns_in_the_child() -> None:
    ended = run_child(FORK_IN_A_TASK, "returns", "returns")
    ended.check_sound()
    assert ended.output.count("returns child 1") == 2
    assert ended.errors.count("weft: a task called os.fork() and returned in the child") == 2
    assert "marks 200" in ended.output


FORK_AND_MORE = (
    SUPPORT
    + r"""
# A child of a child, each with pools; and a pool made before, never used.
unused = ThreadPoolExecutor(2)
used = ThreadPoolExecutor(2)
used.submit(work, 1).result()

def generations(left):
    use_own_pool()
    try:
        used.submit(work, 1)
    except PoolForked:
        pass
    else:
        raise AssertionError("used")
    try:
        unused.submit(work, 1)
    except PoolForked as error:
        assert isinstance(error, stdlib.BrokenExecutor)
    else:
        raise AssertionError("unused")
    use_timeouts()
    use_default_pool()
    if left:
        assert reap(in_child(lambda: generations(left - 1))) == 0
    with used, unused:  # leaving does nothing, at once
        pass

weft.async_(work, 1).result()
assert reap(in_child(lambda: generations(3))) == 0
assert reap(in_child(lambda: generations(1), by_exit=True)) == 0

# With a lot still queued: the child drops it all without running it.
gate = threading.Event()
blocked = [used.submit(gate.wait, 20) for _ in range(2)]
queued = [used.submit(os.write, 1, b"parent ran it\n") for _ in range(3)]
def drop():
    global used, queued, blocked
    del used, queued, blocked
    import gc
    gc.collect()
    use_own_pool()
assert reap(in_child(drop, by_exit=True)) == 0
assert reap(in_child(drop)) == 0
gate.set()
used.shutdown()
unused.shutdown()
# multiprocessing with the fork method, over a process that has pools.
import multiprocessing
context = multiprocessing.get_context("fork")
process = context.Process(target=use_own_pool)
process.start()
process.join(20)
print("multiprocessing", process.exitcode, flush=True)
print("exit", time.monotonic(), flush=True)
"""
)


def test_children_of_children_and_what_they_inherit() -> None:
    ended = run_child(FORK_AND_MORE)
    ended.check_sound()
    assert ended.output.count("parent ran it") == 3
    assert "multiprocessing 0" in ended.output
    assert ended.errors == ""


FORK_MAP = (
    SUPPORT
    + r"""
with ThreadPoolExecutor(2) as pool:
    gate = threading.Event()
    results = pool.map(lambda item: (item < 5 or gate.wait(20)) and item, range(2_000), chunksize=1)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    def body():
        try:
            next(results)
        except PoolForked:
            pass
        else:
            raise AssertionError("next")
        results.close()
        use_own_pool()
    assert reap(in_child(body)) == 0
    assert reap(in_child(body, by_exit=True)) == 0
    gate.set()
    assert list(results) == list(range(5, 2_000))
print("exit", time.monotonic(), flush=True)
"""
)


def test_a_map_under_way() -> None:
    ended = run_child(FORK_MAP)
    ended.check_sound()
    assert ended.errors == ""


FORK_LOCKED = (
    SUPPORT
    + r"""
pool = ThreadPoolExecutor(2)
stop = threading.Event()
grouped = weft.TaskGroup(pool)

def feed():  # the workers keep the locks of the map and of the group busy
    while not stop.is_set():
        stdlib.wait([grouped.submit(work, i) for i in range(20)])

def refused(call):
    try:
        call()
    except BaseExceptionGroup as group:
        assert isinstance(group.exceptions[0], PoolForked), group
    except PoolForked:
        pass
    else:
        raise AssertionError("not refused")

def body():
    refused(lambda: next(results))
    results.close()
    refused(lambda: grouped.submit(work, 1))
    refused(leave)
    weft.add_decision_listener(print)

def leave():
    with weft.TaskGroup(pool) as inner:
        inner.submit(work, 1)

with grouped:
    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(COUNT):
        results = pool.map(work, range(500), chunksize=1)
        assert reap(in_child(body)) == 0
        assert list(results) == list(range(500))
    stop.set()
    feeder.join()
pool.shutdown()
print("exit", time.monotonic(), flush=True)
"""
)


def test_locks_that_other_threads_hold() -> None:
    ended = run_child(FORK_LOCKED.replace("COUNT", str(times(300, 30))), seconds=times(200, 50))
    ended.check_sound()
    assert ended.errors == ""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads through /proc")
def test_the_child_has_one_thread_and_ends_at_once() -> None:
    program = (
        SUPPORT
        + r"""
pool = ThreadPoolExecutor(3)
hold = threading.Event()
running = [pool.submit(hold.wait, 20) for _ in range(3)]
pool.options(timeout=9).submit(work, 1)
began = time.monotonic()
def body():
    assert len(os.listdir("/proc/self/task")) == 1
pid = in_child(body, by_exit=True)  # with all that work pending in the parent
assert reap(pid) == 0
print("took", time.monotonic() - began, flush=True)
hold.set()
pool.shutdown()
"""
    )
    ended = run_child(program)
    ended.check_sound()
    check_within(float(ended.output.split()[1]), 2)
