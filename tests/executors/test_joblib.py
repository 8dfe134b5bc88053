"""joblib, the real one, on weft's pools: results, failures, nested calls, generators."""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import joblib
import pytest

from tests.executors.tasks import inverse
from weft.executors import register_joblib


@pytest.fixture(autouse=True)
def backend() -> Iterator[None]:
    register_joblib()
    register_joblib()  # twice does no harm
    with joblib.parallel_backend("weft", n_jobs=3):
        yield


def name_of_thread(_: Any) -> str:
    return threading.current_thread().name.rpartition("_")[0]


def test_results_in_order() -> None:
    assert joblib.Parallel()(joblib.delayed(pow)(number, 2) for number in range(500)) == [n * n for n in range(500)]


def test_on_threads_of_weft() -> None:
    assert set(joblib.Parallel()(joblib.delayed(name_of_thread)(number) for number in range(20))) == {"weft-joblib"}


def test_as_many_at_a_time_as_asked_for() -> None:
    together = threading.Barrier(3)
    joblib.Parallel(n_jobs=3)(joblib.delayed(together.wait)(30) for _ in range(6))


def test_all_cpus() -> None:
    from weft._capabilities import usable_cpus

    assert joblib.effective_n_jobs(-1) == usable_cpus()
    assert joblib.Parallel(n_jobs=-1)(joblib.delayed(abs)(-n) for n in range(5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="n_jobs == 0"):
        joblib.Parallel(n_jobs=0)([])


def test_one_job_needs_no_pool() -> None:
    names = joblib.Parallel(n_jobs=1)(joblib.delayed(name_of_thread)(number) for number in range(3))
    assert "weft-joblib" not in names


def test_a_failure_arrives_as_itself_and_stops_the_rest() -> None:
    ran: list[int] = []

    def task(number: int) -> None:
        ran.append(number)
        inverse(number)

    with pytest.raises(ZeroDivisionError):
        joblib.Parallel(n_jobs=2)(joblib.delayed(task)(number) for number in range(100_000))
    assert len(ran) < 50_000
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-n) for n in range(5)) == [0, 1, 2, 3, 4]


def test_what_runs_is_interrupted_after_a_failure() -> None:
    begun, stop = threading.Event(), threading.Event()
    ended: list[type[BaseException]] = []

    def loop() -> None:  # of its own: in 3.13 the jump back of a loop is not covered by the `try` that it is in
        begun.set()
        while not stop.is_set():
            pass

    def spin() -> None:
        try:
            loop()
        except BaseException as error:
            ended.append(type(error))
            raise

    def fail() -> None:
        assert begun.wait(30)
        raise KeyError(1)

    timer = threading.Timer(30, stop.set)
    timer.start()
    with pytest.raises(KeyError):
        joblib.Parallel(n_jobs=2)(joblib.delayed(task)() for task in (spin, fail))
    timer.cancel()
    timer.join()
    assert [error.__name__ for error in ended] == ["Interrupted"]


@pytest.mark.invariant(5)
@pytest.mark.deadline(120)
def test_nested_calls() -> None:
    """Each has a pool of its own, down to where they run one after the other; none waits for another's workers."""

    def level(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(level)(depth - 1) for _ in range(2)))

    assert level(4) == 16


def test_the_nested_backend() -> None:
    def backend_here() -> str:
        return type(joblib.parallel.get_active_backend()[0]).__name__

    def nested() -> Any:
        return [backend_here(), *joblib.Parallel(n_jobs=2)(joblib.delayed(backend_here)() for _ in range(2))]

    (names, _) = joblib.Parallel(n_jobs=2)(joblib.delayed(nested)() for _ in range(2))
    assert names == ["WeftBackend", "SequentialBackend", "SequentialBackend"]


@pytest.mark.parametrize("kind", ["generator", "generator_unordered"])
def test_results_as_they_come(kind: str) -> None:
    results = joblib.Parallel(n_jobs=2, return_as=kind)(joblib.delayed(pow)(n, 2) for n in range(50))
    assert sorted(results) == [n * n for n in range(50)]


def test_a_timeout() -> None:
    gate = threading.Event()
    with pytest.raises(multiprocessing.TimeoutError):
        joblib.Parallel(n_jobs=2, timeout=0.05)(joblib.delayed(wait_a_little)(gate) for _ in range(2))
    gate.set()


def wait_a_little(gate: threading.Event) -> None:
    # Not `gate.wait`: an interrupt that comes into its Python code may leave the gate's lock held.
    for _ in range(3_000):
        if gate.is_set():
            return
        time.sleep(0.01)


def test_a_managed_block_makes_one_pool_for_several_calls() -> None:
    with joblib.Parallel(n_jobs=2) as parallel:
        for _ in range(3):
            assert parallel(joblib.delayed(abs)(-n) for n in range(5)) == [0, 1, 2, 3, 4]
        for _ in range(30):
            with pytest.raises(ZeroDivisionError):
                parallel(joblib.delayed(inverse)(0) for n in range(5))
            assert parallel(joblib.delayed(abs)(-n) for n in range(5)) == [0, 1, 2, 3, 4]


def test_without_joblib() -> None:
    code = """if 1:
        import sys
        sys.modules["joblib"] = None
        from weft.errors import MissingDependency
        from weft.executors import register_joblib
        try:
            register_joblib()
        except MissingDependency as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == 'joblib is not installed; run: pip install "weft[joblib]"\n'
