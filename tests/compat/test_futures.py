"""`weft.compat.concurrent.futures` in use: what programs do with the module, not with one of its classes."""

import pickle
import sys
import threading

import pytest

import weft
import weft.compat.concurrent.futures as futures


def test_a_program_as_the_documentation_of_the_stdlib_has_it() -> None:
    with futures.ThreadPoolExecutor(max_workers=2) as executor:
        to_do = {executor.submit(pow, 2, n): n for n in range(5)}
        results = {to_do[future]: future.result() for future in futures.as_completed(to_do, timeout=30)}
    assert results == {n: 2**n for n in range(5)}


def test_futures_of_the_pools_are_both() -> None:
    with futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(int)
    assert isinstance(future, futures.Future)
    assert isinstance(future, weft.Future)


def test_a_future_can_be_made_and_settled_by_hand() -> None:
    future: futures.Future[int] = futures.Future()
    assert future.set_running_or_notify_cancel()
    future.set_result(7)
    assert future.result() == 7
    with pytest.raises(futures.InvalidStateError):
        future.set_result(8)


def test_waiting_takes_those_of_both_kinds() -> None:
    mine: futures.Future[int] = futures.Future()
    with futures.ThreadPoolExecutor(1) as executor:
        ours = executor.submit(int)
        done, not_done = futures.wait([mine, ours], timeout=30, return_when=futures.FIRST_COMPLETED)
        assert (done, not_done) == ({ours}, {mine})
        executor.submit(mine.set_result, 1)
        assert set(futures.as_completed([mine, ours], timeout=30)) == {mine, ours}


def test_the_exceptions_are_those_that_programs_catch() -> None:
    def broken() -> None:
        raise OSError

    with futures.ThreadPoolExecutor(1, initializer=broken) as executor:
        with pytest.raises(futures.BrokenExecutor):
            executor.submit(int).result(30)
    release = threading.Event()
    with futures.ThreadPoolExecutor(1) as executor:
        running, waiting = executor.submit(release.wait, 30), executor.submit(int)
        assert waiting.cancel()
        with pytest.raises(futures.CancelledError):
            waiting.result()
        with pytest.raises(futures.TimeoutError):
            running.result(0.001)
        release.set()


def test_an_executor_of_the_programs_own() -> None:
    class Immediate(futures.Executor):
        def submit(self, fn, /, *args, **kwargs):
            future: futures.Future[object] = futures.Future()
            future.set_result(fn(*args, **kwargs))
            return future

    class Named(futures.ThreadPoolExecutor):
        def __init__(self, name: str) -> None:
            super().__init__(1, thread_name_prefix=name)

    with Immediate() as executor:
        assert list(executor.map(abs, [-1, 2])) == [1, 2]
    with Named("own") as executor:
        assert executor.submit(lambda: threading.current_thread().name).result().startswith("own_")


def test_classes_can_be_pickled() -> None:
    for name in ["ThreadPoolExecutor", "ProcessPoolExecutor", "Future"]:
        value = getattr(futures, name)
        assert pickle.loads(pickle.dumps(value)) is value


@pytest.mark.skipif(sys.platform == "win32", reason="weft has no processes there")
def test_processes() -> None:
    with futures.ProcessPoolExecutor(2) as executor:
        assert list(executor.map(pow, range(4), [2] * 4)) == [0, 1, 4, 9]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before Python 3.14 there are none")
def test_interpreters() -> None:
    with futures.InterpreterPoolExecutor(1) as executor:
        assert executor.submit(pow, 2, 10).result() == 1024
