"""Pools inside of sub-interpreters with a GIL of their own: they come and go, and whatever is left ends with them.

In child interpreters (processes), since what could go wrong here is a crash. Invariants 2 and 3.
"""

import sys

import pytest

from tests.executors.child import Ended, run_child, times
from tests.lateness import check_within

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters comes with Python 3.14"),
    pytest.mark.deadline(300),
]

HEAD = r"""
import os, sys, threading, time
from concurrent import interpreters

def say(text):
    os.write(1, (text + "\n").encode())

def threads():
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else threading.active_count()

def wait_for_threads(count):
    end = time.monotonic() + 10
    while threads() > count and time.monotonic() < end:
        time.sleep(0.005)
    return threads()

INSIDE = '''
import concurrent.futures, threading, time
import weft
from weft.errors import TaskTimeout
from weft.executors import SerialExecutor, ThreadPoolExecutor

def spin():
    while True:
        pass

def use():
    with ThreadPoolExecutor(2) as pool:
        assert [f.result(20) for f in [pool.submit(pow, 2, n) for n in range(100)]] == [2**n for n in range(100)]
        assert list(pool.map(abs, range(-500, 0))) == list(range(500, 0, -1))
        assert list(pool.map(abs, range(20), buffersize=3, ordered=True)) == list(range(20))
        assert isinstance(pool.options(timeout=0.02).submit(spin).exception(20), TaskTimeout)
        assert len(concurrent.futures.wait([pool.submit(pow, 2, 3) for _ in range(9)], 20).done) == 9
        def down(left):
            return 0 if left == 0 else pool.submit(down, left - 1).result() + 1
        assert pool.submit(down, 70).result(20) == 70
        assert isinstance(pool.submit(pow, 2, 3), concurrent.futures.Future)
        begun = threading.Event()
        future = pool.submit(lambda: (begun.set(), spin()))
        assert begun.wait(20) and future.interrupt()
        assert type(future.exception(20)).__name__ == "Interrupted"
    assert weft.async_(pow, 2, 5).result(20) == 32
    assert SerialExecutor().submit(pow, 2, 6).result() == 64
'''
"""


def run(program: str, *, seconds: float = 60, **environment: str) -> Ended:
    ended = run_child(HEAD + program, seconds=seconds, WEFT_EXIT_GRACE="0.3", **environment)
    ended.check_sound()
    return ended


def test_again_and_again() -> None:
    ended = run(
        f"""
before = threads()
for number in range({times(100, 8)}):
    interpreter = interpreters.create()
    interpreter.exec(INSIDE + "use(); use()")
    if number % 2:
        interpreter.exec("import weft; weft.reset()")
    interpreter.close()
    assert wait_for_threads(before) == before, threads()
say("done")
""",
        seconds=200,
    )
    assert ended.output == "done\n"
    assert ended.errors == ""


def test_two_at_the_same_time_and_the_main_one() -> None:
    ended = run(
        f"""
exec(INSIDE)
failures = []
def run():
    try:
        for _ in range({times(20, 2)}):
            interpreter = interpreters.create()
            interpreter.exec(INSIDE + "use()\\nuse()")
            interpreter.close()
    except BaseException as error:
        failures.append(error)
several = [threading.Thread(target=run) for _ in range(2)]
for one in several:
    one.start()
while any(one.is_alive() for one in several):
    use()
weft.reset()
assert not failures, failures
assert wait_for_threads(1) == 1
say("done")
""",
        seconds=200,
    )
    assert ended.output == "done\n"
    assert ended.errors == ""


def test_pools_stay_apart() -> None:
    """A pool, a future, a class of one interpreter is none of another's."""
    ended = run(
        """
exec(INSIDE)
interpreter = interpreters.create()
interpreter.exec(INSIDE + "import weft._core; pool = ThreadPoolExecutor(2); pool.submit(pow, 2, 3).result()")
interpreter.exec("assert len(weft._core.live_pools()) == 1")
import weft._core
assert len(weft._core.live_pools()) == 0
with ThreadPoolExecutor(1) as mine:
    mine.submit(pow, 2, 3).result()
    assert len(weft._core.live_pools()) == 1
interpreter.exec("assert len(weft._core.live_pools()) == 1; pool.shutdown()")
interpreter.close()
use()
say("done")
"""
    )
    assert ended.output == "done\n"
    assert ended.errors == ""


LEFT_OPEN = {
    "idle": "pool.submit(pow, 2, 3).result()",
    "unused": "",
    "with a timer": "pool.options(timeout=60).submit(pow, 2, 3).result()",
    "pending": "[pool.submit(time.sleep, 0.01) for _ in range(30)]",
    "a map": "results = pool.map(lambda item: time.sleep(0.001), range(60), chunksize=1)",
    "dropped": "[pool.submit(time.sleep, 0.01) for _ in range(30)]; del pool",
    "the default pool": "[weft.async_(time.sleep, 0.01) for _ in range(30)]",
    "endless": "future = pool.submit(spin); [pool.submit(spin) for _ in range(9)]",
    "endless, with a timeout to come": "pool.options(timeout=60).submit(spin)",
    "in C for a while": "[pool.submit(time.sleep, 0.8) for _ in range(2)]",
    "timed out in C": "pool.options(timeout=0.01).submit(time.sleep, 1.5).exception()",
    "a retry that waits": "pool.options(retries=3, backoff=60).submit(divmod, 1, 0)",
    "nested": "pool.submit(lambda: pool.submit(spin).result())",
    "waiting in the stdlib's way": "pool.submit(lambda: concurrent.futures.wait([pool.submit(spin)]))",
}


def test_closed_with_a_pool_still_open() -> None:
    ended = run(
        f"""
before = threads()
for what, statement in {LEFT_OPEN!r}.items():
    for _ in range({times(5, 1)}):
        interpreter = interpreters.create()
        interpreter.exec(INSIDE + "pool = ThreadPoolExecutor(2)\\n" + statement)
        began = time.monotonic()
        interpreter.close()
        took = time.monotonic() - began
        assert wait_for_threads(before) == before, (what, threads())
        say(f"{{took:.2f}} s: {{what}}")
""",
        seconds=200,
    )
    print(ended.output)
    took = {line.split(" s: ")[1]: float(line.split()[0]) for line in ended.output.splitlines()}
    assert took.keys() == LEFT_OPEN.keys()
    check_within(max(took.values()), 3, took)
    assert "Traceback" not in ended.errors


def test_worker_threads_that_run_code_in_other_interpreters() -> None:
    """As the stdlib's interpreter pool has it. In there the thread is no worker of ours: nothing of its pool is touched."""
    ended = run(
        f"""
exec(INSIDE)
def elsewhere():
    interpreter = interpreters.create()
    interpreter.exec(INSIDE + '''
import weft._core
assert not weft._core.in_worker()
for _ in range(5):
    use()
with ThreadPoolExecutor(1) as inner:
    # Waits of every kind, while the queue of the outer pool is full: no worker of that may be started from here.
    gate = threading.Event()
    held = inner.submit(gate.wait, 20)
    threading.Timer(0.05, gate.set).start()
    assert held.result() is True
    assert len(concurrent.futures.wait([inner.submit(pow, 2, 3)]).done) == 1
''')
    interpreter.close()
    return weft._core.in_worker()
with ThreadPoolExecutor(2) as pool:
    futures = [pool.submit(elsewhere) for _ in range({times(30, 4)})]
    others = [pool.submit(pow, 2, 3) for _ in range(500)]
    assert all(future.result() is True for future in futures)
    assert all(future.result() == 8 for future in others)
say("done")
""",
        seconds=200,
    )
    assert ended.output == "done\n"
    assert ended.errors == ""


def test_an_interrupt_reaches_a_task_that_is_elsewhere_when_it_is_back() -> None:
    ended = run(
        """
exec(INSIDE)
inside = threading.Event()
def elsewhere():
    interpreter = interpreters.create()
    try:
        inside.set()
        interpreter.exec("import time; time.sleep(0.3)")
    finally:
        interpreter.close()
    while True:
        pass
with ThreadPoolExecutor(1) as pool:
    future = pool.submit(elsewhere)
    assert inside.wait(20) and future.interrupt()
    assert type(future.exception(20)).__name__ == "Interrupted"
    assert pool.submit(pow, 2, 3).result() == 8
say("done")
"""
    )
    assert ended.output == "done\n"


LEGACY = r"""
import _interpreters
def create_legacy():
    return _interpreters.create("legacy")
"""


def test_interpreters_that_share_the_gil() -> None:
    ended = run(
        LEGACY
        + f"""
before = threads()
for _ in range({times(20, 3)}):
    number = create_legacy()
    assert _interpreters.exec(number, INSIDE + "use()\\nweft.reset()") is None
    _interpreters.destroy(number)
    assert wait_for_threads(before) == before
for what, statement in {LEFT_OPEN!r}.items():
    number = create_legacy()
    failed = _interpreters.exec(number, INSIDE + "pool = ThreadPoolExecutor(2)\\n" + statement)
    assert failed is None, failed
    _interpreters.destroy(number)
    assert wait_for_threads(before) == before, (what, threads())
say("done")
""",
        seconds=100,
    )
    assert ended.output == "done\n"
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("what", ["idle", "pending", "endless", "in C for a while", "a map"])
def test_the_process_ends_with_an_interpreter_still_open(what: str) -> None:
    ended = run(
        f"""
interpreter = interpreters.create()
interpreter.exec(INSIDE + "pool = ThreadPoolExecutor(2)\\n" + {LEFT_OPEN[what]!r})
say(f"exit {{time.monotonic()}}")
"""
    )
    check_within(ended.exit_seconds, 3)
    assert "Traceback" not in ended.errors


def test_the_process_ends_while_threads_run_in_interpreters() -> None:
    ended = run(
        """
def run():
    while True:
        interpreter = interpreters.create()
        interpreter.exec(INSIDE + "use()")
        interpreter.close()
for _ in range(2):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.4)
say(f"exit {time.monotonic()}")
os._exit(0)  # Python itself does not survive to end here in order, with or without weft
"""
    )
    assert ended.errors == ""
