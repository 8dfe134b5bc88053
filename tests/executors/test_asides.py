"""What workers say beside their results arrives where the caller listens, and before the result."""

import io
import logging
import sys
import warnings
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from tests.executors import remote_tasks as tasks
from tests.executors.child import wait_until
from tests.executors.flavors import PATIENCE
from tests.executors.test_remote import KINDS
from weft.errors import InitializerFailed, WorkerCrashed
from weft.executors import ProcessPoolExecutor


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


@pytest.fixture
def one(kind: Any) -> Any:
    with kind(1) as pool:
        yield pool


def test_every_way_of_saying_something(
    one: Executor, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert one.submit(tasks.say, "this").result(PATIENCE) == "this"
    assert capsys.readouterr() == ("out this\n", "err this\n")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("weft.tests.asides", logging.INFO, "log this")
    assert record.funcName == "say"
    assert record.weft_worker.endswith("PoolExecutor-" + record.weft_worker.rpartition("-")[2])
    assert record.weft_worker.endswith("_0")
    (warning,) = caught
    assert (str(warning.message), warning.category) == ("warn this", UserWarning)
    assert warning.filename == tasks.__file__


def test_lines_arrive_whole_in_order_and_before_the_result(one: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    lines = 30_000  # more than may wait at a time
    assert one.submit(tasks.say_much, lines).result(PATIENCE) == lines
    assert capsys.readouterr().out == "".join(f"{number}\n" for number in range(lines))


def test_with_many_tasks_each_has_said_its_own_before_its_result(kind: Any) -> None:
    said = io.StringIO()
    before, sys.stdout = sys.stdout, said
    try:
        with kind(2) as pool:
            futures = [pool.submit(tasks.say_at_once, f"<{number}>") for number in range(300)]
            for number, future in enumerate(futures):
                future.result(PATIENCE)
                assert f"<{number}>\n" in said.getvalue()
    finally:
        sys.stdout = before


def test_an_unfinished_line_arrives_with_the_result(one: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("a", "b"):
        assert one.submit(tasks.say_unfinished, text).result(PATIENCE) == text
        assert capsys.readouterr().out == f"unfinished {text}"


def test_a_task_that_runs_is_heard_at_once(one: Executor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = io.StringIO()  # capsys takes what it has and empties itself in two steps, and may lose what comes in between
    monkeypatch.setattr(sys, "stdout", said)
    future = one.submit(tasks.say_and_wait_for, "now", str(tmp_path / "go"))
    wait_until(lambda: said.getvalue() == "now\n", "the task is heard")
    (tmp_path / "go").touch()
    assert future.result(PATIENCE)


def test_a_task_that_fails_is_heard(one: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no good"):
        one.submit(tasks.say_and_fail, "no good").result(PATIENCE)
    assert capsys.readouterr().out == "no good\n"


def test_a_process_that_dies_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with ProcessPoolExecutor(1) as pool:
        with pytest.raises(WorkerCrashed):
            pool.submit(tasks.say_and_die, "good bye").result(PATIENCE)
        assert capsys.readouterr().out == "good bye\n"


def test_the_threads_of_a_task_are_heard(one: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"thread {number}" for number in range(8)]
    one.submit(tasks.say_from_threads, texts).result(PATIENCE)
    assert sorted(capsys.readouterr().out.splitlines()) == texts


def test_a_thread_that_outlives_its_task_does_not_disturb(
    kind: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with kind(1) as pool:
        pool.submit(tasks.say_in_a_thread_that_stays, "still here", str(tmp_path / "go")).result(PATIENCE)
        assert pool.submit(abs, -3).result(PATIENCE) == 3
        (tmp_path / "go").touch()
    assert capsys.readouterr().out == "still here\n"


def test_the_initializer_is_heard(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with kind(1, initializer=tasks.say_at_once, initargs=("begin",)) as pool:
        assert pool.submit(abs, -3).result(PATIENCE) == 3
        assert capsys.readouterr().out == "begin\n"


def test_an_initializer_that_fails_is_heard(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with kind(1, initializer=tasks.say_and_fail, initargs=("no good",)) as pool:
        with pytest.raises(InitializerFailed):
            pool.submit(abs, -3).result(PATIENCE)
        assert "no good\n" in capsys.readouterr().out


def test_what_the_caller_s_loggers_let_through(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "weft.tests.levels")
    with kind(1) as pool:
        assert pool.submit(tasks.log_levels).result(PATIENCE) == [False, True, True]


def test_a_handler_that_raises_fails_no_task(one: Executor, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(io.StringIO):
        def write(self, text: str, /) -> int:
            raise ArithmeticError("a stream of the caller's")

    before, sys.stdout = sys.stdout, Broken()
    try:
        one.submit(tasks.say_at_once, "this").result(PATIENCE)
    finally:
        sys.stdout = before
    assert "a stream of the caller's" in capsys.readouterr().err


def test_a_handler_that_uses_the_pool(kind: Any) -> None:
    results: list[int] = []

    class Submitting(io.StringIO):
        def write(self, text: str, /) -> int:
            futures.append(pool.submit(abs, -3))
            return len(text)

    futures: list[Any] = []
    before, sys.stdout = sys.stdout, Submitting()
    try:
        with kind(1) as pool:
            pool.submit(tasks.say_at_once, "go").result(PATIENCE)
            results.extend(future.result(PATIENCE) for future in futures)
    finally:
        sys.stdout = before
    assert results == [3]
