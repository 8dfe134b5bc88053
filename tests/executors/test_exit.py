"""The end of the interpreter with work pending, running or stuck: bounded, explained, without a crash. Invariant 2.

Each exit needs an interpreter of its own. What a child's program prints last is the time at which it is through; from
then on it has WEFT_EXIT_GRACE seconds in which nothing gets done, and one more.
"""

import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.executors.child import Ended, finish_child, run_child, start_child, times
from tests.lateness import check_within

GRACE = 0.3
BOUND = GRACE + 1.0

HEAD = r"""
import atexit, os, random, signal, sys, threading, time
import weft
from weft.errors import *
from weft.executors import SerialExecutor, ThreadPoolExecutor

def spin():
    while True:
        pass

def say(text):
    os.write(1, (text + "\n").encode())

def through():
    say(f"exit {time.monotonic()}")
"""


def run_to_exit(program: str, *, grace: float | None = GRACE, **environment: str) -> Ended:
    if grace is not None:
        environment["WEFT_EXIT_GRACE"] = str(grace)
    return run_child(HEAD + program, **environment)


# ---- work that nobody shut down ---------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["kept", "dropped"])
def test_pending_work_runs_to_the_end(kept: str) -> None:
    """As with the stdlib: however long it takes, as long as something gets done."""
    ended = run_to_exit(
        f"""
pool = ThreadPoolExecutor(2)
gate = threading.Event()
for _ in range(2):
    pool.submit(gate.wait, 20)
for index in range(60):
    pool.submit(lambda index=index: (time.sleep(0.02), say(f"task {{index}}")))
pool.options(retries=2, backoff=0.05).submit(lambda: (say("try"), 1 / 0))
pool.map(lambda item: say(f"item {{item}}"), range(60), chunksize=1)
if {kept == "dropped"}:
    del pool
gate.set()
atexit.register(lambda: say("atexit"))
through()
"""
    )
    ended.check_sound()
    lines = ended.output.splitlines()
    assert {line for line in lines if line.startswith("task")} == {f"task {index}" for index in range(60)}
    assert {line for line in lines if line.startswith("item")} == {f"item {item}" for item in range(60)}
    assert lines.count("try") == 3
    assert lines[-1] == "atexit"  # with all the work done before it
    assert ended.errors == ""


def test_tasks_that_submit_tasks_at_exit() -> None:
    """What a task submits while the interpreter ends is refused, as with the stdlib; what it waits for is done."""
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(1)
gate = threading.Event()
inner = None
def outer():
    gate.wait(20)
    while not closing():
        time.sleep(0.001)
    try:
        pool.submit(pow, 2, 3)
    except RuntimeError as error:
        say(f"refused: {error}")
    say(f"waited for {inner.result()}")
def closing():
    return not threading.main_thread().is_alive() or not pool._is_open()
pool.submit(outer)
inner = pool.submit(pow, 2, 4)
gate.set()
through()
"""
    )
    ended.check_sound()
    assert "refused: cannot schedule new futures after interpreter shutdown" in ended.output
    assert "waited for 16" in ended.output
    assert ended.errors == ""


def test_submitting_from_atexit_is_refused() -> None:
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(2)
pool.submit(pow, 2, 3).result()
def late(what):
    try:
        what()
    except RuntimeError as error:
        say(f"refused: {error}")
    else:
        say("taken")
atexit.register(late, lambda: pool.submit(pow, 2, 3))
atexit.register(late, lambda: list(pool.map(abs, [1])))
atexit.register(late, lambda: ThreadPoolExecutor(1).submit(pow, 2, 3))
atexit.register(late, lambda: weft.async_(pow, 2, 3))
atexit.register(late, lambda: SerialExecutor().submit(pow, 2, 3))
through()
"""
    )
    ended.check_sound()
    assert ended.output.count("refused: cannot schedule new futures after interpreter shutdown") == 5
    assert "taken" not in ended.output
    assert ended.errors == ""


@pytest.mark.parametrize(("leave", "status"), [("sys.exit(3)", 3), ("1 / 0", 1), ("pass", 0), ("os._exit(7)", 7)])
def test_the_exit_status_is_the_programs(leave: str, status: int) -> None:
    ended = run_to_exit(
        f"""
pool = ThreadPoolExecutor(2)
for index in range(20):
    pool.submit(lambda: (time.sleep(0.005), say("done")))
pool.submit(sys.exit, 5)
through()
{leave}
"""
    )
    ended.check_sound(status)
    if status != 7:
        assert ended.output.count("done") == 20
    assert ended.errors.count("Traceback") == (1 if status == 1 else 0)


# ---- work that does not end -------------------------------------------------------------------------------


def check_bounded(ended: Ended, *words: str) -> None:
    print(f"exit took {ended.exit_seconds:.2f} s; {ended.errors.strip()}")
    check_within(ended.exit_seconds, BOUND, ended)
    for word in words:
        assert word in ended.errors, ended
    assert "Traceback" not in ended.errors, ended


def test_an_endless_loop_is_interrupted() -> None:
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(2)
begun = threading.Event()
def looping():
    try:
        begun.set()
        spin()
    finally:
        say("cleaned up")
running = [pool.submit(looping), pool.options(name="another").submit(spin)]
assert begun.wait(20)
while not all(future.running() for future in running):
    pass
queued = [pool.submit(say, "never") for _ in range(7)]
atexit.register(lambda: say(f"atexit {[type(f.exception()).__name__ for f in running]} {all(f.cancelled() for f in queued)}"))
through()
"""
    )
    ended.check_sound()
    check_bounded(
        ended, "in which no task finished", "7 queued tasks cancelled, 2 running interrupted", "looping", "another"
    )
    assert "left behind" not in ended.errors
    assert "cleaned up" in ended.output
    assert "never" not in ended.output
    assert "atexit ['Interrupted', 'Interrupted'] True" in ended.output


def test_a_task_stuck_in_c_is_left_behind() -> None:
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(2)
future = pool.submit(time.sleep, 60)
other = pool.submit(spin)
while not (future.running() and other.running()):
    pass
through()
"""
    )
    ended.check_sound()
    check_bounded(ended, "2 running interrupted", "could not be stopped and left behind: sleep")


def test_several_pools_end_together() -> None:
    ended = run_to_exit(
        """
pools = [ThreadPoolExecutor(1) for _ in range(5)]
futures = [pool.submit(time.sleep, 60) for pool in pools]
futures += [weft.async_(spin)]
while not all(future.running() for future in futures):
    pass
through()
"""
    )
    ended.check_sound()
    check_bounded(ended, "6 running interrupted", "left behind: sleep, sleep, sleep, sleep, sleep")


def test_no_grace_at_all() -> None:
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(1)
future = pool.submit(spin)
while not future.running():
    pass
through()
""",
        grace=0,
    )
    ended.check_sound()
    check_bounded(ended, "1 running interrupted")
    check_within(ended.exit_seconds, 1)


@pytest.mark.parametrize("value", ["nonsense", "-1", "nan"])
def test_a_grace_that_is_none(value: str) -> None:
    ended = run_child(HEAD + "\nThreadPoolExecutor(1).submit(pow, 2, 3)\nthrough()\n", WEFT_EXIT_GRACE=value)
    ended.check_sound()
    assert f"WEFT_EXIT_GRACE={value!r} is not a number of seconds" in ended.errors


def test_what_a_map_has_left_needs_no_room_at_exit() -> None:
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(1, max_pending=1)
results = pool.map(time.sleep, [60] * 9)
through()
"""
    )
    ended.check_sound()
    check_bounded(ended, "8 queued tasks cancelled", "1 running interrupted")


def test_ctrl_c_while_maps_submit_what_they_have_left() -> None:
    ended = run_to_exit(
        """
from weft.executors import _map
def interrupted():
    raise KeyboardInterrupt
_map.flush_all = interrupted
pool = ThreadPoolExecutor(1)
future = pool.submit(spin)
while not future.running():
    pass
through()
""",
        grace=60,
    )
    ended.check_sound()
    check_bounded(ended, "exit after Ctrl-C", "1 running interrupted")


def test_a_long_grace_waits_for_a_long_task() -> None:
    ended = run_to_exit(
        """
ThreadPoolExecutor(1).submit(lambda: (time.sleep(1.0), say("done")))
through()
""",
        grace=20,
    )
    ended.check_sound()
    assert "done" in ended.output
    assert ended.errors == ""
    check_within(ended.exit_seconds, 5)


WAITERS = {
    "a task that waits for a stuck one": "pool.submit(lambda: stuck.result())",
    "a task in a stdlib wait": "pool.submit(lambda: __import__('concurrent.futures').futures.wait([stuck]))",
    "a daemon thread in result()": "daemon(stuck.result)",
    "a daemon thread in a map": "daemon(lambda: list(pool.map(time.sleep, [60] * 9)))",
    "a daemon thread in an unordered map": "daemon(lambda: list(pool.map(time.sleep, [60] * 9, ordered=False)))",
    "a daemon thread in shutdown()": "daemon(pool.shutdown)",
    "a daemon thread with max_pending": "full.submit(time.sleep, 60); daemon(lambda: [full.submit(spin) for _ in range(9)])",
    "a task with max_pending": "full.submit(time.sleep, 60); pool.submit(lambda: [full.submit(spin) for _ in range(9)])",
    "a task in another pool's shutdown()": "full.submit(time.sleep, 60); pool.submit(full.shutdown)",
    "a task in a chunk of builtins": "pool.map(pow, [3] * 10**6, [5000] * 10**6, chunksize=10**6)",
    "a task of the serial executor in a daemon thread": "daemon(lambda: SerialExecutor().submit(time.sleep, 60))",
    "a retry in the caller": "daemon(lambda: SerialExecutor().options(retries=9, backoff=60).submit(divmod, 1, 0))",
    "retries that wait": "[pool.options(retries=9, backoff=60).submit(divmod, 1, 0) for _ in range(9)]",
    "a task with a timeout to come": "pool.options(timeout=60).submit(spin)",
    "a task that timed out and is stuck": "pool.options(timeout=0.01).submit(time.sleep, 60).exception()",
    "a task that submits for ever": "pool.submit(for_ever)",
    "a daemon thread that submits for ever": "daemon(for_ever)",
    "a callback that blocks": "blocked()",
    "a task group": "daemon(group)",
    "an initializer that blocks": "ThreadPoolExecutor(1, initializer=time.sleep, initargs=(60,)).submit(spin)",
    "a task that swallows everything": "pool.submit(swallow)",
}


WAITING = """
pool = ThreadPoolExecutor(3)
full = ThreadPoolExecutor(1, max_pending=1)
stuck = ThreadPoolExecutor(1).submit(time.sleep, 60)

def daemon(function):
    def run():
        try:
            function()
        except BaseException:
            pass
    threading.Thread(target=run, daemon=True).start()

def for_ever():
    while True:
        pool.submit(pow, 2, 3)

def swallow():
    while True:
        try:
            spin()
        except BaseException:
            pass

def blocked():
    gate = threading.Event()
    future = pool.submit(gate.wait, 20)
    future.add_done_callback(lambda _: time.sleep(60))
    gate.set()

def group():
    with weft.TaskGroup(pool) as tasks:
        tasks.submit(time.sleep, 60)

exec(sys.argv[1])
time.sleep(0.1)  # most of it has begun
through()
"""


def run_waiter(what: str) -> Ended:
    return run_child(HEAD + WAITING, WAITERS[what], WEFT_EXIT_GRACE=str(GRACE))


@pytest.fixture(scope="module")
def waiters() -> dict[str, Ended]:
    """All of them, some at a time: what they do is wait."""
    with ThreadPoolExecutor(4) as several:
        futures = {what: several.submit(run_waiter, what) for what in WAITERS}
        return {what: future.result() for what, future in futures.items()}


@pytest.mark.parametrize("what", WAITERS)
def test_whoever_waits_does_not_keep_the_process(what: str, waiters: dict[str, Ended]) -> None:
    """Threads that wait in the core are where 3.13 ends them with pthread_exit."""
    ended = waiters.pop(what, None) or run_waiter(what)  # one that was late is run again
    ended.check_sound()
    check_within(ended.exit_seconds, BOUND, ended)
    assert "Traceback" not in ended.errors, ended.errors


def test_a_with_block_left_by_an_error_runs_its_work() -> None:
    ended = run_to_exit(
        """
try:
    with ThreadPoolExecutor(1) as pool:
        for _ in range(30):
            pool.submit(lambda: (time.sleep(0.005), say("done")))
        raise ValueError("mine")
except ValueError:
    through()
"""
    )
    ended.check_sound()
    assert ended.output.count("done") == 30


def test_a_with_block_left_by_sys_exit_does_not() -> None:
    ended = run_to_exit(
        """
with ThreadPoolExecutor(1) as pool:
    running = pool.submit(spin)
    while not running.running():
        pass
    queued = [pool.submit(say, "never") for _ in range(30)]
    through()
    sys.exit(4)
"""
    )
    ended.check_sound(4)
    check_bounded(ended, "left by SystemExit", "30 queued tasks cancelled, 1 running interrupted")
    assert "never" not in ended.output


# ---- any phase, any mixture -------------------------------------------------------------------------------

CHAOS = (
    HEAD
    + r"""
import concurrent.futures, logging, warnings

def scenario(seed):
    chance = random.Random(seed)
    pools = [ThreadPoolExecutor(chance.randint(1, 4)) for _ in range(chance.randint(1, 3))]
    some = lambda: chance.choice(pools)
    expected = []

    def daemon(function):
        def run():
            try:
                function()
            except BaseException:
                pass
        threading.Thread(target=run, daemon=True).start()

    def pending():
        for _ in range(chance.randint(1, 300)):
            some().submit(sum, range(100))

    def naps():  # which return before, during and after finalisation
        for _ in range(chance.randint(1, 8)):
            some().submit(time.sleep, chance.uniform(0, 1.5))

    def loops():
        for _ in range(chance.randint(1, 3)):
            some().submit(spin)

    def maps():
        # With a time limit: the pool may be full of loops.
        results = some().map(lambda item: time.sleep(item / 1e4) or item, range(chance.randint(1, 200)), timeout=0.5)
        if chance.random() < 0.5:
            try:
                next(results, None)
            except TimeoutError:
                pass
        if chance.random() < 0.5:
            some_maps.append(results)

    def nested():
        pool = some()
        def down(left):
            return 0 if left == 0 else pool.submit(down, left - 1).result() + 1
        pool.submit(down, chance.randint(1, 80))

    def timeouts():
        for _ in range(chance.randint(1, 5)):
            some().options(timeout=chance.uniform(0.001, 0.6)).submit(chance.choice((spin, lambda: time.sleep(1))))

    def retries():
        for _ in range(chance.randint(1, 5)):
            some().options(retries=3, backoff=chance.uniform(0, 0.5)).submit(divmod, 1, 0)

    def waiters():
        future = some().submit(time.sleep, chance.uniform(0, 1))
        daemon(lambda: future.result())
        daemon(lambda: concurrent.futures.wait([future]))
        some().submit(future.result)

    def submitters():
        full = ThreadPoolExecutor(1, max_pending=2)
        def submit():
            while True:
                full.submit(time.sleep, 0.01)
        daemon(submit)

    def closers():
        pool = some()
        daemon(lambda: pool.shutdown(wait=chance.random() < 0.5, cancel_futures=chance.random() < 0.5))

    def droppers():
        ThreadPoolExecutor(2).submit(time.sleep, chance.uniform(0, 0.8))
        if len(pools) > 1:
            pools.pop()

    def callbacks():
        future = some().submit(time.sleep, 0.001)
        future.add_done_callback(lambda _: time.sleep(chance.uniform(0, 1)))
        future.add_done_callback(lambda _: 1 / 0)

    def garbage():
        class Cycle:
            def __del__(self):
                time.sleep(0.0001)
        for _ in range(20):
            one = Cycle()
            one.itself = one
            one.future = some().submit(lambda one=one: one)

    def interrupts():
        futures = [some().submit(spin) for _ in range(3)]
        daemon(lambda: [future.interrupt() for _ in range(1000) for future in futures])

    def defaults():
        weft.async_(time.sleep, chance.uniform(0, 0.5))

    def handlers():
        def late():
            try:
                pools[0].submit(pow, 2, 3)
            except RuntimeError:
                return
            os._exit(66)
        atexit.register(late)

    some_maps = []
    logging.getLogger("concurrent.futures").disabled = True  # a callback divides by zero
    for make in chance.sample([pending, naps, loops, maps, nested, timeouts, retries, waiters, submitters, closers,
                               droppers, callbacks, garbage, interrupts, defaults, handlers], chance.randint(1, 5)):
        try:
            make()
        except RuntimeError as error:  # `closers` was there first
            assert "shutdown" in str(error), error
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.05))
    if chance.random() < 0.3:
        globals()["kept"] = pools, some_maps
    return chance.choice(("end", "exit", "interrupt"))

if __name__ == "__main__":
    how = scenario(int(sys.argv[1]))
    through()
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
"""
)


def check_chaos(seed: int, ended: Ended) -> None:
    message = f"seed {seed}: status {ended.status}, exit took {ended.exit_seconds:.2f} s\n{ended.errors}"
    assert ended.status in (0, 3, -2), message
    assert "Fatal Python error" not in ended.errors, message
    assert "Segmentation" not in ended.errors, message
    # What it takes beyond the bound is work that got done: naps and retries that end one by one, at most this long.
    check_within(ended.exit_seconds, BOUND + 6, message)  # many children at once, on however few cores
    if ended.status != -2:
        assert "Traceback" not in ended.errors, message


@pytest.mark.deadline(3600)
def test_exit_in_every_phase(rng: random.Random) -> None:
    """The table's row: 500 runs in full. Some at a time, since each sleeps more than it computes."""
    count = times(500, 8)
    seeds = [rng.randrange(1 << 30) for _ in range(count)]
    longest = 0.0
    with ThreadPoolExecutor(3) as several:
        futures = [
            several.submit(run_child, CHAOS, str(seed), seconds=40, WEFT_EXIT_GRACE=str(GRACE)) for seed in seeds
        ]
        for seed, future in zip(seeds, futures, strict=True):
            ended = future.result()
            check_chaos(seed, ended)
            longest = max(longest, ended.exit_seconds)
    print(f"{count} exits, the longest took {longest:.2f} s")


FORKED_CHAOS = (
    CHAOS.replace('if __name__ == "__main__":', "def main():")
    + r"""
import json, select, faulthandler
for seed in json.loads(sys.argv[2]):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.dup2(write, 2)
        sys.argv[1] = str(seed)
        try:
            main()
        except KeyboardInterrupt:
            sys.exit(4)
        sys.exit(0)
    os.close(write)
    began = time.monotonic()
    errors = b""
    while True:
        if not select.select([read], [], [], max(0, 30 - (time.monotonic() - began)))[0]:
            os.kill(pid, signal.SIGABRT)
            errors += b"hung"
        piece = os.read(read, 65536)
        if not piece:
            break
        errors += piece
    os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say("result " + json.dumps([seed, status, time.monotonic() - began, errors.decode(errors="replace")]))
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.deadline(3600)
def test_exit_in_every_phase_of_a_forked_child(rng: random.Random) -> None:
    """The same, without the time that an interpreter takes to start: many more of them."""
    import json

    count = times(500, 8)
    seeds = [rng.randrange(1 << 30) for _ in range(count)]
    halves = [seeds[::2], seeds[1::2]]
    children = [start_child(FORKED_CHAOS, "0", json.dumps(half), WEFT_EXIT_GRACE=str(GRACE)) for half in halves]
    results: list[tuple[int, int, float, str]] = []
    for process in children:
        with process:
            ended = finish_child(process, 3000)
        ended.check_sound()
        lines = [line for line in ended.output.splitlines() if line.startswith("result ")]
        results += [json.loads(line.removeprefix("result ")) for line in lines]
    assert len(results) == count
    for seed, status, seconds, errors in results:
        message = f"seed {seed}: status {status}, took {seconds:.2f} s\n{errors}"
        assert status in (0, 3, 4), message
        assert "Fatal Python error" not in errors, message
        assert "hung" not in errors, message
        check_within(seconds, BOUND + 6, message)
    print(f"{count} exits, the longest took {max(result[2] for result in results):.2f} s")


@pytest.mark.deadline(600)
def test_calls_in_c_that_return_during_finalisation() -> None:
    """Threads of ours come back from C at every moment of the interpreter's end, and may not touch it any more."""
    for number in range(times(60, 4)):
        ended = run_to_exit(
            f"""
import zlib
lock = threading.Lock()
def native(seconds):
    end = time.monotonic() + seconds
    data = bytes(200_000)
    while time.monotonic() < end:
        zlib.compress(data)  # releases the GIL, and asks for it again
pools = [ThreadPoolExecutor(4) for _ in range(4)]
chance = random.Random({number})
for pool in pools:
    for index in range(12):
        pool.submit(chance.choice((time.sleep, native, lambda s: [time.sleep(0.0005) for _ in range(10**6)])),
                    0.01 + chance.random() * 0.5)
        pool.options(timeout=0.01 + chance.random() / 5).submit(time.sleep, chance.random() * 0.5)
through()
""",
            grace=0,
        )
        ended.check_sound()
        check_within(ended.exit_seconds, 3, ended)


def test_exit_while_the_main_thread_is_not_the_last() -> None:
    """A plain thread that the interpreter waits for uses a pool, while the pool's end has begun."""
    ended = run_to_exit(
        """
pool = ThreadPoolExecutor(1)
def plain():
    while pool._is_open():
        time.sleep(0.001)
    try:
        pool.submit(pow, 2, 3)
    except RuntimeError as error:
        say(f"refused: {error}")
threading.Thread(target=plain).start()
pool.submit(pow, 2, 3).result()
through()
"""
    )
    ended.check_sound()
    assert "refused: cannot schedule new futures after interpreter shutdown" in ended.output


@pytest.mark.skipif(sys.platform != "linux", reason="watches processes through pidfds")
def test_import_alone_does_not_slow_the_exit() -> None:
    ended = run_to_exit("through()")
    ended.check_sound()
    check_within(ended.exit_seconds, 1)
