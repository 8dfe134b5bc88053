"""The default pool: made on first use or by `init`, ended by `shutdown`, made again; and the deferred mode of `async_`."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator

import pytest

import weft
from tests.executors.child import run_child
from weft.errors import InvalidSetting

PATIENCE = 20


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    weft.shutdown()
    yield
    weft.shutdown()


def test_it_runs_from_the_first_use_to_shutdown() -> None:
    assert not weft.is_running()
    assert weft.async_(abs, -1).result(PATIENCE) == 1
    assert weft.is_running()
    weft.shutdown()
    assert not weft.is_running()
    assert weft.async_(abs, -2).result(PATIENCE) == 2


def test_init_sets_how_many_threads_there_are() -> None:
    weft.init(threads=3)
    assert weft.is_running()
    barrier = threading.Barrier(3)
    futures = [weft.async_(barrier.wait, PATIENCE) for _ in range(3)]
    assert sorted(future.result(PATIENCE) for future in futures) == [0, 1, 2]
    from weft.futures._default import default_executor

    assert default_executor().max_workers == 3


def test_init_again() -> None:
    weft.init(threads=2)
    weft.init(threads=2)
    with pytest.raises(RuntimeError, match=r"made with init\(threads=2\); init\(threads=3\) asks for another"):
        weft.init(threads=3)
    weft.shutdown()
    weft.init(threads=3)


def test_init_after_a_use_that_chose_the_defaults() -> None:
    weft.async_(int).result(PATIENCE)
    weft.init()
    with pytest.raises(RuntimeError, match=r"made with init\(\); init\(threads=3\) asks for another"):
        weft.init(3)


def test_the_initializer_runs_in_each_worker() -> None:
    seen: list[int] = []
    weft.init(1, initializer=seen.append, initargs=(7,))
    weft.async_(int).result(PATIENCE)
    assert seen == [7]


@pytest.mark.parametrize(
    ("threads", "error"), [(0, ValueError), (-1, ValueError), ("two", TypeError), (1.5, TypeError)]
)
def test_what_cannot_be(threads: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="threads"):
        weft.init(threads)
    assert not weft.is_running()
    assert weft.async_(abs, -1).result(PATIENCE) == 1


def test_shutdown_from_a_task_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="a task cannot wait for the end of the pool"):
        weft.async_(weft.shutdown).result(PATIENCE)
    assert weft.is_running()
    assert weft.async_(abs, -1).result(PATIENCE) == 1


def test_reset_ends_it() -> None:
    weft.init(threads=2)
    weft.reset()
    assert not weft.is_running()
    weft.init(threads=3)


# ---- deferred ---------------------------------------------------------------------------------------------


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_ASYNC_MODE", "deferred")


@pytest.mark.usefixtures("deferred")
class TestDeferred:
    def test_it_waits_for_the_first_who_wants_it(self) -> None:
        ran: list[int] = []
        future = weft.async_(ran.append, 1)
        assert ran == []
        assert not future.done()
        assert future.result() is None
        assert ran == [1]
        future.result()
        assert ran == [1]

    def test_it_runs_on_the_thread_that_asks(self) -> None:
        assert weft.async_(threading.get_ident).result() == threading.get_ident()

    def test_an_exception_is_its_own(self) -> None:
        future = weft.async_(divmod, 1, 0)
        assert isinstance(future.exception(), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            future.result()

    def test_cancelled_it_never_runs(self) -> None:
        ran: list[int] = []
        future = weft.async_(ran.append, 1)
        assert future.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        assert ran == []

    def test_what_else_asks_for_its_end_starts_it_on_the_pool(self) -> None:
        here = threading.get_ident()
        assert weft.async_(threading.get_ident).then(lambda future: future.result()).result(PATIENCE) != here
        assert weft.when_all(weft.async_(threading.get_ident)).result(PATIENCE)[0] != here
        future = weft.async_(threading.get_ident)
        assert concurrent.futures.wait([future], PATIENCE).done == {future}
        assert future.result() != here
        done = threading.Event()
        weft.async_(int).add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE)

        async def main() -> int:
            return await asyncio.wait_for(weft.async_(threading.get_ident), PATIENCE)

        assert asyncio.run(main()) != here

    def test_two_who_ask_at_once(self) -> None:
        for _ in range(200):
            ran: list[int] = []
            future = weft.async_(ran.append, 1)
            threads = [threading.Thread(target=future.result) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert ran == [1]

    def test_after_shutdown_it_is_refused(self) -> None:
        future = weft.async_(int)
        weft.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            future.result()
        assert future.done()

    def test_what_cannot_be_called(self) -> None:
        wrong: int = 5
        with pytest.raises(TypeError, match="fn must be callable"):
            weft.async_(wrong)  # type: ignore[arg-type]  # that is what is tried


def test_a_mode_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_ASYNC_MODE", "defered")
    with pytest.raises(InvalidSetting, match="WEFT_ASYNC_MODE='defered' is not valid: did you mean 'deferred'"):
        weft.async_(int)


def test_an_interpreter_that_ends_with_deferred_tasks() -> None:
    ended = run_child("import weft\nfutures = [weft.async_(print) for _ in range(5)]\n", WEFT_ASYNC_MODE="deferred")
    ended.check_sound()
    assert ended.output == ended.errors == ""
