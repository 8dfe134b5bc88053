"""What dump() says of workers that are idle, busy or stuck; from wherever it is called."""

import io
import re
import signal
import sys
import threading
import time

import pytest

from tests.executors.child import run_child, times, wait_until
from tests.executors.flavors import PATIENCE
from weft import debug
from weft.executors import SerialExecutor, ThreadPoolExecutor


def dumped() -> str:
    report = io.StringIO()
    debug.dump(report)
    return report.getvalue()


def deep(gate: threading.Event, begun: threading.Event) -> bool:
    return deeper(gate, begun)


def deeper(gate: threading.Event, begun: threading.Event) -> bool:
    begun.set()
    return gate.wait(PATIENCE)


def test_no_pools() -> None:
    # Pools that tests before have dropped may be about to end.
    wait_until(lambda: dumped() == "no pools\n", f"no pools, where there are\n{dumped()}")


@pytest.mark.parametrize("traced", [False, True])
def test_what_runs_and_where(traced: bool) -> None:
    gate, begun = threading.Event(), threading.Event()
    if traced:
        debug.enable_tracing()
    with ThreadPoolExecutor(1, thread_name_prefix="readers") as pool:
        before = time.monotonic()
        future = pool.options(name="fetch").submit(deep, gate, begun)
        waiting = pool.submit(print)
        assert begun.wait(PATIENCE)
        text = ""

        def it_waits() -> bool:
            nonlocal text
            text = dumped()
            return "gate.wait(PATIENCE)" in text and "threading.py" in text

        wait_until(it_waits, "it waits at its gate")
        took = time.monotonic() - before
        thread = next(thread for thread in threading.enumerate() if thread.name == "readers_0")
        assert waiting.cancel()
        gate.set()
        future.result(PATIENCE)
    lines = text.splitlines()
    assert lines[0] == "pool readers (threads): 1 worker, 1 running, 1 waiting"
    found = re.fullmatch(
        r"  worker 0, thread (\d+) \(system's id (\d+)\): fetch, for (at most )?(\d+\.\d+) s", lines[1]
    )
    assert found
    assert (int(found[1]), int(found[2])) == (thread.ident, thread.native_id)
    assert (found[3] is None) == traced
    assert 0 <= float(found[4]) <= took
    stack = "\n".join(lines[2:])
    assert stack.index("in deep\n") < stack.index("in deeper\n") < stack.index("gate.wait(PATIENCE)")
    assert "_worker_threads.py" not in stack
    assert "threading.py" in stack  # where it waits


def test_how_long_is_known_after_many_short_tasks_too() -> None:
    gate, begun = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        for future in [pool.submit(int) for _ in range(5000)]:
            future.result(PATIENCE)
        future = pool.submit(deep, gate, begun)
        assert begun.wait(PATIENCE)
        before = time.monotonic()
        wait_until(lambda: time.monotonic() > before + 0.05, "it has run for a while")
        found = re.search(r"for at most (\d+\.\d+) s", dumped())
        gate.set()
        future.result(PATIENCE)
    assert found
    assert float(found[1]) >= 0.05


def test_a_task_that_is_no_python_function() -> None:
    lock = threading.Lock()
    lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lock.acquire)
        wait_until(future.running, "it runs")
        text = dumped()
        lock.release()
        future.result(PATIENCE)
    assert "lock.acquire" in text
    assert "in a function that is not written in Python" in text


def test_a_serial_task_sees_itself() -> None:
    with SerialExecutor() as executor:
        text = executor.options(name="here").submit(dumped).result()
    assert text.startswith("pool SerialExecutor (serial): 0 workers, 1 running, 0 waiting\n  thread ")
    assert ": here, for at most " in text
    assert "in test_a_serial_task_sees_itself\n" in text


def test_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.options(name="itself").submit(debug.dump).result(PATIENCE)
    assert ": itself, for at most " in capsys.readouterr().err


def test_a_map_is_named_after_its_function() -> None:
    with ThreadPoolExecutor(1) as pool:
        (text,) = pool.map(lambda _: dumped(), [1])
    assert "<lambda>, for" in text


def test_counts_and_numbers() -> None:
    assert debug.get_num_worker_threads() == 0
    assert debug.get_worker_thread_id() == -1
    start = threading.Barrier(3)

    def number() -> int:
        start.wait(PATIENCE)
        return debug.get_worker_thread_id()

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(number) for _ in range(3)]
        assert sorted(future.result(PATIENCE) for future in futures) == [0, 1, 2]
        assert debug.get_num_worker_threads() == 3
        assert pool.submit(lambda: SerialExecutor().submit(debug.get_worker_thread_id).result()).result(PATIENCE) >= 0
    assert SerialExecutor().submit(debug.get_worker_thread_id).result() == -1
    assert debug.get_num_worker_threads() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
def test_from_a_signal_handler() -> None:
    gate, begun = threading.Event(), threading.Event()
    report = io.StringIO()
    before = signal.signal(signal.SIGUSR1, lambda *_: debug.dump(report))
    try:
        with ThreadPoolExecutor(1) as pool:
            futures = [pool.submit(deep, gate, begun) for _ in range(3)]
            assert begun.wait(PATIENCE)
            signal.raise_signal(signal.SIGUSR1)
            gate.set()
            for future in futures:
                future.result(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "deep, for at most" in report.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals here")
def test_from_a_signal_handler_in_the_middle_of_anything() -> None:
    """The main thread submits, waits, writes to standard error, makes pools; a timer's signal dumps there, too."""
    ended = run_child("""
import os, signal, sys, time
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
from weft import debug
from weft.executors import ThreadPoolExecutor

dumps = 0
def handler(*_):
    global dumps
    dumps += 1
    debug.dump()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
end = time.monotonic() + 20
while time.monotonic() < end and dumps < 100:
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(sum, range(1000)) for _ in range(100)]
        print("working", file=sys.stderr)
        assert sum(future.result() for future in futures) == 100 * sum(range(1000))
        debug.dump()
signal.setitimer(signal.ITIMER_REAL, 0)
print(dumps)
""")
    ended.check_sound()
    assert int(ended.output) >= 100


@pytest.mark.deadline(120)
def test_while_the_workers_are_as_busy_as_they_can_be() -> None:
    stop = threading.Event()

    def down(left: int) -> int:
        return 0 if left == 0 else down(left - 1) + 1

    def up_and_down(depth: int) -> None:  # frames come and go all the time
        for _ in range(100):
            down(depth)

    def submitter() -> None:
        while not stop.is_set():
            for future in [pool.submit(up_and_down, number % 30) for number in range(30)]:
                future.result(PATIENCE)

    with ThreadPoolExecutor(3) as pool:
        threads = [threading.Thread(target=submitter) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            frames = 0
            end = time.monotonic() + PATIENCE
            while frames < times(100_000, 3_000) and time.monotonic() < end:
                text = dumped()
                assert text.startswith(("pool ThreadPoolExecutor-", "no pools"))
                frames += text.count("in test_while_the_workers")
            assert frames > 0
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
