"""The adaptive executor: threads that move what waits for the GIL elsewhere, and are threads in all else."""

import concurrent.futures
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

import weft
from tests.executors import portable_tasks as tasks
from tests.executors.child import wait_until
from tests.executors.flavors import PATIENCE
from weft.errors import Interrupted, PayloadError, TaskTimeout
from weft.executors import ThreadPoolExecutor, _portable
from weft.executors._adaptive import AdaptiveExecutor
from weft.executors._router import Move

GIL = sys._is_gil_enabled()
AWAY = ["processes"] + (["interpreters"] if sys.version_info >= (3, 14) else [])


class Adaptive:
    """An adaptive executor, and what it has told."""

    def __init__(self, *flavors: str, workers: int = 3) -> None:
        self.moves: list[Move] = []
        self.pool = AdaptiveExecutor(workers, "adaptive", flavors=flavors, tell=self.moves.append)

    def codes(self) -> list[str]:
        return [move.code for move in self.moves]

    def until_told(self, code: str, fn: Any = tasks.compute, *args: Any, numbers: Iterable[int] = range(60)) -> None:
        """Keeps it busy until something is found out; on a busy machine that takes more than one look."""
        end = time.monotonic() + 45
        while code not in self.codes():
            assert time.monotonic() < end, f"not told {code!r}, but {self.moves}"
            for future in [self.pool.submit(fn, number, *args) for number in numbers]:
                future.result(PATIENCE)


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[Adaptive] = []

    def make(*flavors: str, workers: int = 3) -> Adaptive:
        made.append(Adaptive(*(flavors or AWAY[:1]), workers=workers))
        return made[-1]

    yield make
    for one in made:
        one.pool.shutdown(cancel_futures=True)


needs_gil = pytest.mark.skipif(not GIL, reason="without a GIL nothing waits for it")


def test_it_is_a_thread_pool(make: Any) -> None:
    pool = make().pool
    assert isinstance(pool, ThreadPoolExecutor)
    assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
    assert pool.submit(abs, -1).result(PATIENCE) == 1
    assert list(pool.map(pow, range(5), [2] * 5)) == [0, 1, 4, 9, 16]
    assert pool.options(name="x").submit(abs, -3).result(PATIENCE) == 3


def test_what_has_no_hash_runs_too(make: Any) -> None:
    class AddOne:
        def __eq__(self, other: object) -> bool:
            return self is other

        def __call__(self, number: int) -> int:
            return number + 1

    pool = make().pool
    assert pool.submit(AddOne(), 1).result(PATIENCE) == 2
    assert list(pool.map(AddOne(), [1, 2])) == [2, 3]


@needs_gil
@pytest.mark.parametrize("where", AWAY)
def test_python_code_is_moved(make: Any, where: str) -> None:
    adaptive = make(where)
    adaptive.until_told("measured_gil_bound", tasks.compute_and_tell)
    (move,) = (move for move in adaptive.moves if move.code == "measured_gil_bound")
    assert move.flavor == where
    assert "compute_and_tell" in move.reason
    assert move.evidence["cpu_per_call"] > move.evidence["crossing_per_call"]
    here = {thread.ident for thread in threading.enumerate()}
    found = [future.result(PATIENCE) for future in [adaptive.pool.submit(tasks.compute_and_tell, n) for n in range(20)]]
    assert [result for result, *_ in found] == [tasks.compute(number) for number in range(20)]
    if where == "processes":
        assert os.getpid() not in {pid for _, pid, _ in found}
    else:
        assert not {thread for *_, thread in found} & {threading.main_thread().ident}
        assert here  # they are threads of this process, but not the adaptive pool's own
        own = {thread.ident for thread in adaptive.pool._threads}
        assert not {thread for *_, thread in found} & own


@needs_gil
@pytest.mark.parametrize("ordered", [True, False])
def test_map_is_moved_and_keeps_its_results(make: Any, ordered: bool) -> None:
    adaptive = make()
    results: list[int] = []
    end = time.monotonic() + 45
    while "measured_gil_bound" not in adaptive.codes():
        assert time.monotonic() < end, adaptive.moves
        results = list(adaptive.pool.map(tasks.compute, range(400), ordered=ordered))
    found = results if ordered else sorted(results)
    expected = [tasks.compute(number) for number in range(400)]
    assert found == (expected if ordered else sorted(expected))


@needs_gil
def test_errors_come_back_from_there(make: Any) -> None:
    adaptive = make()
    adaptive.until_told("measured_gil_bound")
    futures = [adaptive.pool.submit(tasks.compute_or_fail, number) for number in range(100)]
    for number, future in enumerate(futures):
        if number % 50 == 7:
            assert str(future.exception(PATIENCE)) == f"number {number}"
        else:
            assert future.result(PATIENCE) == tasks.compute(number)


@needs_gil
def test_each_task_runs_once_through_a_move(make: Any, tmp_path: Path) -> None:
    adaptive = make()
    adaptive.until_told("measured_gil_bound")
    file = str(tmp_path / "calls")
    futures = [adaptive.pool.submit(tasks.compute_into, file, number) for number in range(400)]
    assert [future.result(PATIENCE) for future in futures] == [tasks.compute(number) for number in range(400)]
    assert Counter(Path(file).read_text().split()) == Counter(str(number) for number in range(400))


@needs_gil
def test_what_cannot_cross_runs_here(make: Any) -> None:
    """A function that has been moved meets an argument that cannot be, and one that cannot be made there."""
    adaptive = make()
    adaptive.until_told("measured_gil_bound", tasks.compute_and_give_sometimes)
    assert adaptive.pool.submit(tasks.compute_and_give_sometimes, 3).result(PATIENCE) == 3
    lock = Lockable()
    assert adaptive.pool.submit(tasks.compute, lock).result(PATIENCE) == tasks.compute(5)
    tricky = OnlyHere(os.getpid())
    assert adaptive.pool.submit(tasks.compute, tricky).result(PATIENCE) == tasks.compute(5)


class Lockable(int):
    """Five, with something about it that cannot be pickled."""

    def __new__(cls) -> Self:
        return super().__new__(cls, 5)

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


class OnlyHere(int):
    """Five; can be pickled, and cannot be rebuilt in another process."""

    home: int

    def __new__(cls, home: int) -> Self:
        if os.getpid() != home:
            raise RuntimeError("elsewhere")
        made = super().__new__(cls, 5)
        made.home = home
        return made

    def __reduce__(self) -> Any:
        return OnlyHere, (self.home,)


@needs_gil
def test_options_and_context_hold_there(make: Any) -> None:
    adaptive = make()
    adaptive.until_told("measured_gil_bound", tasks.variable)
    token = tasks.VARIABLE.set(7)  # what stays set is imported by the workers of all later tests
    assert adaptive.pool.submit(tasks.variable, 1).result(PATIENCE) == 7
    tasks.VARIABLE.reset(token)
    adaptive.until_told("measured_gil_bound")
    late = adaptive.pool.options(timeout=0.3).submit(tasks.compute_for_ever, 1)
    assert isinstance(late.exception(PATIENCE), TaskTimeout)
    stopped = adaptive.pool.submit(tasks.compute_for_ever, 1)
    wait_until(stopped.running, "it runs")
    time.sleep(0.1)
    assert stopped.interrupt()
    assert isinstance(stopped.exception(PATIENCE), Interrupted)
    assert adaptive.pool.submit(abs, -1).result(PATIENCE) == 1


@pytest.mark.parametrize(
    ("fn", "why"),
    [(tasks.note, "changes the global"), (tasks.count_up, "assigns to"), (tasks.nothing, "returns nothing")],
)
@needs_gil
def test_what_may_not_move_stays_and_says_why(make: Any, fn: Any, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.executors._router.WORTH", 0)
    monkeypatch.setattr("weft.executors._router.Router._waits_for_gil", lambda _: True)
    adaptive = make()
    adaptive.until_told("cannot_move", fn)
    assert any(why in move.reason for move in adaptive.moves)
    assert "measured_gil_bound" not in adaptive.codes()


@needs_gil
@pytest.mark.parametrize("where", AWAY)
def test_a_table_that_is_changed_brings_it_back(make: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its module made of the table, workers have; what the program makes of it later, they have not."""
    adaptive = make(where)
    adaptive.until_told("measured_gil_bound", tasks.compute_by_table)
    monkeypatch.setitem(tasks.FILLED, "a", 1000)
    futures = [adaptive.pool.submit(tasks.compute_by_table, number) for number in range(40)]
    assert [future.result(PATIENCE) for future in futures] == [tasks.compute(number) + 1000 for number in range(40)]
    assert adaptive.moves[-1].code == "moved_back"
    assert "the global 'FILLED' has changed" in adaptive.moves[-1].reason


@needs_gil
@pytest.mark.parametrize("where", AWAY)
def test_a_table_that_was_filled_stays(make: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.FILLED, "a", 1000)
    adaptive = make(where)
    adaptive.until_told("cannot_move", tasks.compute_by_table)
    assert "compute_by_table: it uses the global 'FILLED', which a worker has as" in adaptive.moves[-1].reason
    assert "measured_gil_bound" not in adaptive.codes()


@needs_gil
@pytest.mark.skipif(len(AWAY) < 2, reason="sub-interpreters need 3.14")
def test_what_imports_a_module_that_refuses_interpreters_goes_to_processes(make: Any) -> None:
    """Also where it does so only when it runs: there it would fail."""
    pytest.importorskip("numpy")
    adaptive = make("interpreters", "processes")
    adaptive.until_told("measured_gil_bound", tasks.compute_with_numpy)
    assert adaptive.moves[-1].flavor == "processes"
    assert adaptive.pool.submit(tasks.compute_with_numpy, 7).result(PATIENCE) == tasks.compute(7) + 1


def test_waiting_tasks_stay(make: Any) -> None:
    adaptive = make(workers=8)
    assert sum(adaptive.pool.map(tasks.wait, [0.01] * 200)) == pytest.approx(2.0)
    assert "measured_gil_bound" not in adaptive.codes()


def test_small_tasks_stay_and_are_left_alone(make: Any) -> None:
    adaptive = make()
    for future in [adaptive.pool.submit(abs, -number) for number in range(5_000)]:
        future.result(PATIENCE)
    assert adaptive.moves in ([], adaptive.moves[:1])
    assert "measured_gil_bound" not in adaptive.codes()


@needs_gil
def test_one_that_is_slower_there_comes_back(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.executors._router._TOO_MUCH_CROSSING", 0)
    adaptive = make()
    adaptive.until_told("moved_back")
    codes = [code for code in adaptive.codes() if code != "measured_threads"]
    assert codes[:2] == ["measured_gil_bound", "moved_back"]
    assert adaptive.pool.submit(tasks.compute_and_tell, 1).result(PATIENCE)[1] == os.getpid()


def work_through(adaptive: Adaptive, rounds: int, elsewhere: int, count: int) -> None:
    futures = [adaptive.pool.submit(tasks.compute_for, rounds, os.getpid(), elsewhere) for _ in range(count)]
    for future in futures:
        future.result(PATIENCE)


@needs_gil
def test_calls_that_become_larger_stay_away(make: Any) -> None:
    """That fewer of them get done is not because they were moved."""
    adaptive = make()
    adaptive.until_told("measured_gil_bound", tasks.compute_for, os.getpid(), 1, numbers=[2] * 60)
    work_through(adaptive, 20, 1, 160)
    (subject,) = adaptive.pool._router._subjects.values()
    end = time.monotonic() + 45
    while subject.comparison is not None:
        assert time.monotonic() < end
        work_through(adaptive, 20, 1, 20)
    assert "moved_back" not in adaptive.codes()
    assert subject.rate < 500  # it has been compared, and is judged by the large ones


@needs_gil
def test_what_waits_comes_back_to_where_more_can_wait(make: Any) -> None:
    """While it waits for the GIL as well, nothing tells it from what computes."""
    adaptive = make(workers=12)
    end = time.monotonic() + 45
    while "moved_back" not in adaptive.codes():
        assert time.monotonic() < end, adaptive.moves
        for future in [adaptive.pool.submit(tasks.compute_and_wait, 0.05) for _ in range(150)]:
            future.result(PATIENCE)
    assert "waits for something else than the GIL" in adaptive.moves[-1].reason


@needs_gil
@pytest.mark.parametrize("look", ["before", "after"])
def test_looking_that_fails_is_no_failure_of_the_task(make: Any, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    """As a global that another thread changes meanwhile makes it."""
    looks = iter([look == "before"] + [True] * 100)

    def surroundings(*what: Any, of: Any = _portable._surroundings) -> Any:
        if next(looks):
            raise RuntimeError("Set changed size during iteration")
        return of(*what)

    monkeypatch.setattr(_portable, "_surroundings", surroundings)
    adaptive = make()
    adaptive.until_told("cannot_move")
    assert "Set changed size" in adaptive.moves[-1].reason
    assert adaptive.moves[-1].flavor == "threads"


@needs_gil
def test_what_computes_stands_aside_while_something_is_tried(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a trial takes seconds, and all that time nothing runs side by side."""
    monkeypatch.setattr("weft.executors._router._STAND_ASIDE", PATIENCE)
    pool = make().pool
    router = pool._router
    stands_aside = threading.Event()

    def stand_aside(gate: Any, of: Any = router._stand_aside) -> None:
        stands_aside.set()
        of(gate)

    monkeypatch.setattr(router, "_stand_aside", stand_aside)
    assert [pool.submit(tasks.compute, 1).result(PATIENCE) for _ in range(3)]  # what it takes is known from now on
    pool._route(None)  # as another call does that looks for nothing
    gate = router._shut()
    try:
        future = pool.submit(tasks.compute, 2)
        assert stands_aside.wait(PATIENCE)
        assert not future.done()
    finally:
        router._open(gate)
    assert future.result(PATIENCE) == tasks.compute(2)


@needs_gil
def test_a_job_that_is_known_to_be_long_is_moved_at_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.executors._router._STARTING", 1 << 62)
    adaptive = make()
    adaptive.until_told("measured_gil_bound", numbers=range(800))
    del adaptive.moves[:]
    end = time.monotonic() + 45
    while "measured_gil_bound" not in adaptive.codes():
        assert time.monotonic() < end, adaptive.moves
        assert len(list(adaptive.pool.map(tasks.compute_more, range(800)))) == 800


@needs_gil
def test_calls_that_take_longer_there_come_back(make: Any) -> None:
    adaptive = make()
    adaptive.until_told("measured_gil_bound", tasks.compute_for, os.getpid(), 1, numbers=[2] * 60)
    end = time.monotonic() + 45
    while "moved_back" not in adaptive.codes():
        assert time.monotonic() < end
        work_through(adaptive, 2, 20, 120)
    assert "on threads" in adaptive.moves[-1].reason


@needs_gil
def test_nothing_is_left_of_it() -> None:
    adaptive = Adaptive("processes")
    adaptive.until_told("measured_gil_bound")
    (pool,) = adaptive.pool._router._pools.values()
    pids = list(pool._processes)
    adaptive.pool.shutdown()
    assert not adaptive.pool._router._thread.is_alive()
    assert not pool._is_open()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "its processes have ended")


@needs_gil
@pytest.mark.parametrize("wait", [True, False])
def test_shutdown_finishes_what_is_away(make: Any, wait: bool) -> None:
    adaptive = make()
    adaptive.until_told("measured_gil_bound")
    futures = [adaptive.pool.submit(tasks.compute, number) for number in range(60)]
    adaptive.pool.shutdown(wait=wait)
    assert [future.result(PATIENCE) for future in futures] == [tasks.compute(number) for number in range(60)]


def test_dropped_without_a_word() -> None:
    adaptive = Adaptive("processes")
    thread = adaptive.pool._router._thread
    assert adaptive.pool.submit(abs, -1).result(PATIENCE) == 1
    del adaptive
    wait_until(lambda: not thread.is_alive(), "its thread has ended")


@needs_gil
def test_run_auto_decides_again_when_it_has_measured() -> None:
    if weft.capabilities().cpus < 2:
        pytest.skip("with one CPU there is nothing to gain")
    end = time.monotonic() + 45
    with weft.observe_decisions() as decisions, weft.Run(name="mixed") as executor:
        while decisions[-1].code != "measured_gil_bound":
            assert time.monotonic() < end, decisions
            list(executor.map(tasks.compute, range(300)))
            list(executor.map(tasks.wait, [0.001] * 20))
    assert decisions[0].code == "measuring"
    last = decisions[-1]
    assert (last.requested, last.name) == ("auto", "mixed")
    assert last.resolved in ("interpreters", "processes")
    assert last.evidence["function"] == "compute"
    assert last.evidence["gil_enabled"] is True


@needs_gil
def test_a_mixture(make: Any, rng: random.Random) -> None:
    """Each function goes where it pays; nobody's result is another's."""
    adaptive = make(workers=6)
    adaptive.until_told("measured_gil_bound")
    work = [rng.choice([(tasks.compute, n), (tasks.wait, 0.002), (abs, -n), (tasks.note, n)]) for n in range(400)]
    futures = [adaptive.pool.submit(*one) for one in work]
    for (fn, argument), future in zip(work, futures, strict=True):
        expected = {tasks.compute: tasks.compute, tasks.wait: float, abs: abs, tasks.note: int}[fn](argument)
        assert future.result(PATIENCE) == expected


def test_a_payload_error_says_whether_the_task_ran() -> None:
    from weft.executors import ProcessPoolExecutor

    with ProcessPoolExecutor(1) as pool:
        before = pool.submit(tasks.compute, OnlyHere(os.getpid())).exception(PATIENCE)
        after = pool.submit(tasks.give_lock, 1).exception(PATIENCE)
        with pytest.raises(PayloadError) as refused:
            pool.submit(tasks.compute, Lockable())
    assert isinstance(before, PayloadError)
    assert isinstance(after, PayloadError)
    assert (before.ran, after.ran, refused.value.ran) == (False, True, False)
