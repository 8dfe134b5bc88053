"""What a `concurrent.futures.Executor` has to do, on every engine."""

import concurrent.futures
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines import tasks
from weft.errors import InvalidSetting, PayloadError, TaskTimeout

PATIENCE = 50

pytestmark = [
    pytest.mark.deadline(120),
    pytest.mark.leaves_threads("those of the engine's own client"),
]


def test_it_is_an_executor_and_its_futures_are_the_stdlibs(executor: Any) -> None:
    """Invariants 1 and 2."""
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(tasks.keep, 1, [2], three={3})
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(PATIENCE) == ((1, [2]), {"three": {3}})
    assert future.done()
    assert not future.cancel()


def test_it_runs_elsewhere(executor: Any, engine: str) -> None:
    assert (executor.submit(tasks.pid).result(PATIENCE) != os.getpid()) is (engine != "daft")


def test_what_has_no_name_goes_by_value(executor: Any) -> None:
    here = 40
    assert executor.submit(lambda x: x + here, 2).result(PATIENCE) == 42
    assert executor.submit(lambda: lambda x: x + here).result(PATIENCE)(1) == 41


def test_a_failure_arrives_as_itself_with_its_cause_and_where_it_was(executor: Any) -> None:
    error = executor.submit(tasks.fail, "no such thing").exception(PATIENCE)
    assert type(error) is LookupError
    assert error.args == ("no such thing",)
    assert isinstance(error.__cause__, KeyError)
    assert "in fail" in str(error.__cause__.__cause__)
    odd = executor.submit(tasks.fail_oddly).exception(PATIENCE)
    assert isinstance(odd, tasks.Odd)
    assert (odd.one, odd.other) == (1, 2)
    assert isinstance(executor.submit(tasks.leave).exception(PATIENCE), SystemExit)
    assert executor.submit(abs, -1).result(PATIENCE) == 1


def test_what_cannot_be_sent_is_refused_at_once_with_the_way_to_it(executor: Any) -> None:
    with pytest.raises(PayloadError, match=r"args\[0\]\['lock'\]"):
        executor.submit(tasks.keep, {"lock": tasks.lock()})
    with pytest.raises(PayloadError, match="result"):
        executor.submit(tasks.lock).result(PATIENCE)
    with pytest.raises(TypeError, match="must be callable, not 3"):
        executor.submit(3)


def test_map(executor: Any) -> None:
    assert list(executor.map(pow, range(200), itertools.repeat(2))) == [x * x for x in range(200)]
    assert sorted(executor.map(abs, range(20), chunksize=3, ordered=False)) == [*range(20)]
    endless = executor.map(abs, itertools.count(), buffersize=4)
    assert list(itertools.islice(endless, 6)) == [*range(6)]
    endless.close()
    results = executor.map(tasks.invert, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_map_that_is_late(executor: Any, tmp_path: Path) -> None:
    results = executor.map(tasks.until_there, [str(tmp_path / "go")], timeout=0.2)
    try:
        with pytest.raises(TimeoutError):
            next(results)
    finally:
        (tmp_path / "go").touch()


def test_options(executor: Any, tmp_path: Path) -> None:
    again = executor.options(retries=2, backoff=0.01, retry_on=LookupError, name="again")
    assert again.submit(tasks.fail_first, str(tmp_path / "two"), 2).result(PATIENCE) == 3
    with pytest.raises(LookupError, match="try 3"):
        again.submit(tasks.fail_first, str(tmp_path / "three"), 3).result(PATIENCE)
    began = time.monotonic()
    with pytest.raises(TaskTimeout):
        executor.options(timeout=0.2).submit(tasks.spin).result(PATIENCE)
    assert time.monotonic() - began < 25
    assert list(again.map(tasks.invert, [1, 2])) == [1, 0.5]
    with pytest.raises(InvalidSetting, match="retries"):
        executor.options(retries=-1)


def test_a_large_argument_and_result(executor: Any) -> None:
    data = os.urandom(3_000_000)
    assert executor.submit(tasks.keep, data).result(PATIENCE) == ((data,), {})


def test_cancelling(own: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    futures = [own.submit(tasks.until_there, str(go)) for _ in range(3 * own.max_workers)]
    last = futures[-1]
    called: list[Any] = []
    last.add_done_callback(called.append)
    assert last.cancel()
    assert last.cancelled()
    assert last.cancel()
    assert called == [last]
    assert concurrent.futures.wait([last], timeout=PATIENCE).done == {last}
    with pytest.raises(concurrent.futures.CancelledError):
        last.result(0)
    go.touch()
    for future in futures[:-1]:
        assert future.result(PATIENCE) >= 0


def test_shutting_down(own: Any, tmp_path: Path) -> None:
    going = [own.submit(tasks.touch_and_wait, str(tmp_path / "begun"), str(tmp_path / "go"))]
    own.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        own.submit(abs, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        own.options(name="view").submit(abs, 1)
    (tmp_path / "go").touch()
    own.shutdown()
    assert going[0].result(0) >= 0
    own.shutdown()


def test_shutting_down_cancels_what_is_left_if_asked_to(own: Any, tmp_path: Path) -> None:
    futures = [own.submit(tasks.until_there, str(tmp_path / "go")) for _ in range(4 * own.max_workers)]
    own.shutdown(cancel_futures=True)
    (tmp_path / "go").touch()
    assert all(future.cancelled() for future in futures)


def test_a_block_ends_when_all_is_done(own: Any) -> None:
    with own as inside:
        futures = [inside.submit(pow, n, 2) for n in range(10)]
    assert [future.result(0) for future in futures] == [n * n for n in range(10)]
    with pytest.raises(RuntimeError, match="after shutdown"):
        own.submit(abs, 1)
