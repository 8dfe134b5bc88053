"""Set-up and teardown of workers by a context manager that the initializer returns; threads of their libraries."""

import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.executors import set_up_tasks as tasks
from tests.executors.flavors import PATIENCE
from tests.executors.test_remote import KINDS
from weft.errors import InitializerFailed, InvalidSetting
from weft.executors import ProcessPoolExecutor, ThreadPoolExecutor

MAKERS: dict[str, Any] = {"threads": ThreadPoolExecutor, **KINDS}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


def lines(log: Path) -> list[str]:
    return log.read_text().split()


def test_around_the_tasks_of_each_worker(make: Any, log: Path) -> None:
    with make(2, initializer=tasks.connected, initargs=(str(log),)) as pool:
        futures = [pool.submit(tasks.connection) for _ in range(20)]
        used = {future.result(PATIENCE) for future in futures}
        assert "left" not in lines(log)
    said = lines(log)
    # One may have done all before the other was there.
    assert said.count("entered") == said.count("left") >= len(used) >= 1
    assert said[-1] == "left"


def test_not_before_the_last_task(make: Any, log: Path) -> None:
    pool = make(1, initializer=tasks.connected, initargs=(str(log),))
    future = pool.submit(tasks.note_after, 0.2, str(log), "task")
    pool.shutdown()
    assert future.done()
    assert lines(log) == ["entered", "task", "left"]


def test_where_a_process_is_replaced(log: Path) -> None:
    with ProcessPoolExecutor(1, initializer=tasks.connected, initargs=(str(log),), max_tasks_per_child=2) as pool:
        for _ in range(5):
            pool.submit(tasks.note_after, 0, str(log), "task").result(PATIENCE)
    assert lines(log) == ["entered", "task", "task", "left"] * 2 + ["entered", "task", "left"]


def test_where_the_pool_is_dropped(make: Any, log: Path) -> None:
    pool = make(1, initializer=tasks.connected, initargs=(str(log),))
    pool.submit(tasks.note_after, 0, str(log), "task").result(PATIENCE)
    del pool
    gc.collect()
    until = time.monotonic() + PATIENCE
    while "left" not in lines(log) and time.monotonic() < until:
        time.sleep(0.01)
    assert lines(log) == ["entered", "task", "left"]


def test_what_the_teardown_says_arrives(make: Any, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with make(1, initializer=tasks.saying) as pool:
        pool.submit(abs, -3).result(PATIENCE)
        assert capsys.readouterr().out == "hello\n"
    assert capsys.readouterr().out == "good bye\nunfinished"


def test_set_up_that_fails(make: Any) -> None:
    with make(1, initializer=tasks.broken_entry) as pool, pytest.raises(InitializerFailed) as caught:
        pool.submit(abs, -3).result(PATIENCE)
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_teardown_that_fails_is_reported(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with KINDS[kind](1, initializer=tasks.broken_exit) as pool:
        assert pool.submit(abs, -3).result(PATIENCE) == 3
    assert "ConnectionError: on the way out" in capfd.readouterr().err


def test_teardown_of_a_thread_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    with ThreadPoolExecutor(1, initializer=tasks.broken_exit) as pool:
        assert pool.submit(abs, -3).result(PATIENCE) == 3
    (report,) = reported
    assert report.exc_type is ConnectionError


def test_what_else_an_initializer_returns_is_nobody_s_business(make: Any) -> None:
    with make(1, initializer=str) as pool:
        assert pool.submit(abs, -3).result(PATIENCE) == 3


# ---- inner threads


def test_the_environment_of_a_process() -> None:
    with ProcessPoolExecutor(1, inner_threads=3) as pool:
        assert set(pool.submit(tasks.variables).result(PATIENCE).values()) == {"3"}
    with ProcessPoolExecutor(1) as pool:
        assert "3" not in pool.submit(tasks.variables).result(PATIENCE).values()


@pytest.mark.parametrize("preload", [[], ["numpy"]])
def test_blas_of_a_process(preload: list[str]) -> None:
    pytest.importorskip("numpy")
    pytest.importorskip("threadpoolctl")
    with ProcessPoolExecutor(1, inner_threads=1, preload=preload) as pool:
        assert set(pool.submit(tasks.blas_threads).result(PATIENCE)) == {1}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_caller_s_libraries_are_left_alone(kind: str) -> None:
    before = tasks.variables()
    with KINDS[kind](1, inner_threads=1) as pool:
        pool.submit(abs, -3).result(PATIENCE)
        assert tasks.variables() == before


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("value", "error"), [(0, InvalidSetting), (-1, InvalidSetting), ("2", TypeError)])
def test_what_is_no_number_of_threads(kind: str, value: Any, error: type[BaseException]) -> None:
    with pytest.raises(error, match="inner_threads"):
        KINDS[kind](1, inner_threads=value)
