"""What only interpreters can do, and what can only happen to them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors.child import Ended, run_child, wait_until
from tests.executors.flavors import PATIENCE
from tests.lateness import Late
from weft.errors import FlavorUnavailable, PayloadError, TaskTimeout
from weft.executors import InterpreterPoolExecutor

if sys.version_info < (3, 14):

    def test_older_pythons_have_none() -> None:
        with pytest.raises(FlavorUnavailable, match=r"3\.14"):
            InterpreterPoolExecutor(1)

else:
    from concurrent import interpreters

    def check_closed(ended: Ended) -> None:
        """All of a program's interpreters were closed in the second that its end has for them."""
        assert "Fatal" not in ended.errors
        if "remaining subinterpreters" in ended.errors:
            raise Late(ended.errors)

    @pytest.fixture
    def pool() -> Any:
        with InterpreterPoolExecutor(2) as pool:
            yield pool

    def test_each_worker_is_an_interpreter_of_its_own(pool: Any) -> None:
        start = threading.Barrier(2)
        del start
        found = {future.result(30) for future in [pool.submit(tasks.where) for _ in range(200)]}
        assert all(interpreter != interpreters.get_main().id for _, interpreter in found)
        assert 1 <= len(found) <= 2

    def test_a_memoryview_is_lent(pool: Any) -> None:
        numbers = bytearray(10)
        assert pool.submit(tasks.write_into, memoryview(numbers), 7).result(30) == 10
        assert numbers[0] == 7

    def test_a_memoryview_that_the_worker_keeps() -> None:
        with InterpreterPoolExecutor(1) as pool:
            numbers = bytearray(b"abc")
            pool.submit(tasks.keep, memoryview(numbers)).result(30)
            numbers[0] = 9
            assert pool.submit(tasks.first_kept).result(30) == 9
            with pytest.raises(BufferError):
                numbers.append(1)  # it is lent
            pool.submit(tasks.forget).result(30)
            numbers.append(1)

    def test_a_module_that_refuses(pool: Any) -> None:
        numpy = pytest.importorskip("numpy")
        with pytest.raises(ImportError):
            pool.submit(tasks.import_numpy).result(30)
        with pytest.raises(PayloadError, match="numpy"):
            pool.submit(tasks.echo_array, numpy.zeros(3)).result(30)
        assert pool.submit(abs, -1).result(30) == 1

    def test_they_are_closed_with_the_pool() -> None:
        before = len(interpreters.list_all())
        for _ in range(10):
            with InterpreterPoolExecutor(2) as pool:
                assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        wait_until(lambda: len(interpreters.list_all()) <= before + 1, "there is at most a spare more")

    @pytest.mark.parametrize("end", ["", "pool.shutdown(wait=False)", "sys.exit(3)", "raise KeyboardInterrupt"])
    def test_the_end_of_the_program_closes_them(end: str) -> None:
        ended = run_child(
            f"""
import sys
from tests.executors import remote_tasks as tasks
from weft.executors import InterpreterPoolExecutor
if __name__ == "__main__":
    pool = InterpreterPoolExecutor(2)
    print(pool.submit(abs, -1).result(30))
    pool.submit(tasks.pid_after, 0.1)
    {end}
"""
        )
        check_closed(ended)

    def test_a_spinning_task_does_not_hold_up_the_end() -> None:
        ended = run_child(
            """
from tests.executors import remote_tasks as tasks
from weft.executors import InterpreterPoolExecutor
if __name__ == "__main__":
    pool = InterpreterPoolExecutor(2)
    futures = [pool.submit(tasks.spin) for _ in range(3)]
    while not futures[0].running(): pass
""",
            WEFT_EXIT_GRACE="0.1",
        )
        assert ended.status == 0, ended
        check_closed(ended)

    def test_a_thread_that_a_task_left_running(pool: Any) -> None:
        """Python itself waits for it when the interpreter ends."""
        pool.submit(tasks.start_a_thread, 0.2).result(30)

    def test_one_that_cannot_be_reached_in_time_ends_when_it_can() -> None:
        """Its caller goes on without it after a second; the pool can be left all the same."""
        began = time.perf_counter()
        sum(range(10_000_000))
        items = int(10_000_000 * 2 / (time.perf_counter() - began))  # two seconds, if the machine stays as it is
        with InterpreterPoolExecutor(1) as pool:
            future = pool.options(timeout=0.05).submit(tasks.hold_the_gil_and_spin, items)
            assert isinstance(future.exception(PATIENCE), TaskTimeout)
            assert pool.submit(abs, -1).result(PATIENCE) == 1

    def test_one_whose_time_is_over_when_its_module_is_there_is_not_begun(tmp_path: Path) -> None:
        """Whatever the module does with what it is interrupted by."""
        (tmp_path / "swallows.py").write_text(
            "import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end:\n"
            "    try: time.sleep(0.01)\n    except BaseException: pass\n"
            "def spin():\n    while True: pass\n"
        )
        ended = run_child(
            "import sys, swallows\nfrom weft.executors import InterpreterPoolExecutor\n"
            "with InterpreterPoolExecutor(1) as pool:\n"
            "    error = pool.options(timeout=0.05).submit(swallows.spin).exception(30)\n"
            "    print(type(error).__name__)\n",
            seconds=40,
            PYTHONPATH=str(tmp_path),
        )
        ended.check_sound()
        assert ended.output == "TaskTimeout\n"

    def test_two_pools_side_by_side() -> None:
        with InterpreterPoolExecutor(1) as one, InterpreterPoolExecutor(1) as other:
            assert one.submit(tasks.where).result(30) != other.submit(tasks.where).result(30)
            wait_until(lambda: one._queued() == 0, "it is idle")


STUCK = """
import atexit, sys, time
from weft.executors import InterpreterPoolExecutor
if __name__ == "__main__":
    seconds = [float(text) for text in sys.argv[1:]]
    pool = InterpreterPoolExecutor(len(seconds))
    futures = [pool.submit(time.sleep, one) for one in seconds]
    while not all(future.running() for future in futures):
        pass
    atexit.register(print, "first registered")
    atexit.register(print, "then this")
    sys.stdout.write("the end, ")
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need 3.14")
@pytest.mark.parametrize("seconds", [["60"], ["0.9", "1", "1.1", "1.2"], ["1.25", "1.3", "1.35", "60"]])
def test_exit_with_an_interpreter_that_is_stuck(seconds: list[str]) -> None:
    """In C, where nothing stops it; or coming back while the process ends."""
    command = [sys.executable, "-c", STUCK, *seconds]
    environment = {**os.environ, "WEFT_EXIT_GRACE": "0.2"}
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment)
    took = time.monotonic() - began
    assert done.stdout == "the end, then this\nfirst registered\n"
    assert "Fatal" not in done.stderr
    if done.returncode != 0:  # they may all have come back in time
        assert done.returncode == 1
        assert "interpreters that cannot be ended are left behind" in done.stderr
    assert "remaining subinterpreters" not in done.stderr
    if "60" in seconds:
        assert done.returncode == 1
        assert took < 30


LATE = """
import signal, time
from weft.executors import InterpreterPoolExecutor
if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as pool:
        future = pool.submit(time.sleep, 0.4)
        while not future.running():
            pass
        signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need 3.14")
def test_an_interpreter_that_is_late_after_ctrl_c_is_waited_for_at_exit() -> None:
    """The block is left at once, with a task still in C; that comes back before the process would leave without it."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=50)
    assert "left behind: sleep" in done.stderr
    if "interpreters that cannot be ended" in done.stderr:
        raise Late(done.stderr)
    assert done.returncode == -signal.SIGINT
    assert "remaining subinterpreters" not in done.stderr
