"""Which functions may run where nothing is shared."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executors import portable_tasks as tasks
from weft._payloads.surroundings import likeness
from weft.executors import ProcessPoolExecutor
from weft.executors._portable import Around, Static, Trial, examine


def why_not(fn: Callable[..., Any], *inputs: Any) -> str | None:
    trial = Trial(fn, inputs)
    result = fn(*inputs)
    return trial.ended(result, gives_nothing=result is None)


def closure(numbers: list[int], *, change: bool) -> Callable[[int], int]:
    def inner(number: int) -> int:
        if change:
            numbers.append(number)
        return number + len(numbers)

    return inner


def counting_closure() -> Callable[[int], int]:
    count = 0

    def inner(number: int) -> int:
        nonlocal count
        count += number
        return count

    return inner


@pytest.mark.parametrize(
    ("fn", "inputs"),
    [
        (tasks.add, (1,)),
        (tasks.look_up, ("a",)),
        (tasks.by_kind, (1,)),
        (tasks.among_constants, (1,)),
        (tasks.fixed, (1,)),
        (tasks.by_module, (1,)),
        (tasks.FIXED, (1,)),
        (tasks.reads_in_many_ways, (1,)),
        (tasks.pid_at_import, (1,)),
        (abs, (-1,)),
        (functools.partial(tasks.add, b=3), (1,)),
        (tasks.calls_helper, (1,)),
        (tasks.Counter().same, (1,)),
        (tasks.compute, (1, 10)),
        (sorted, ([3, 1, 2],)),
    ],
)
def test_these_may(fn: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    assert why_not(fn, *inputs) is None


@pytest.mark.parametrize(
    ("fn", "inputs", "why"),
    [
        (tasks.count_up, (1,), "assigns to 'COUNT'"),
        (tasks.fills_seldom, (1,), "changes the global 'FILLED' (line "),
        (tasks.fills_seldom_by_another_name, (1,), "changes the global 'ROWS'"),
        (tasks.sets_in_module_seldom, (1,), "changes the global 'portable_settings.TABLE'"),
        (tasks.hands_on, (1,), "hands on the global 'FILLED'"),
        (tasks.rescales_seldom, (1,), "calls .rescale() of the global 'SETTINGS'"),
        (tasks.uses_sentinel, (1,), "the global 'MISSING', a object that may have to be this one"),
        (tasks.Counting(), (1,), "changes the attribute Counting.calls"),
        (tasks.Locking().alone, (1,), "the attribute Locking.lock, a lock that"),
        (tasks.note, (1,), "changes the global 'SEEN'"),
        (tasks.note_by_helper, (1,), "changes the global 'SEEN'"),
        (tasks.locked, (1,), "uses the global 'LOCK', a lock"),
        (tasks.nothing, (1,), "returns nothing"),
        (tasks.append_to, ([],), "changes an argument"),
        (tasks.give_lock, (1,), "result cannot be pickled"),
        (repr, (sys.stdout,), "an argument cannot be pickled"),
        (tasks.Counter().up, (1,), "changes the object that it is bound to"),
        (closure([], change=True), (1,), "changes the variable 'numbers' around it"),
        (counting_closure(), (1,), "assigns to 'count'"),
        ([].append, (1,), "returns nothing"),
    ],
)
def test_these_may_not(fn: Callable[..., Any], inputs: tuple[Any, ...], why: str) -> None:
    found = why_not(fn, *inputs)
    assert found is not None
    assert why in found


def test_a_closure_that_only_reads() -> None:
    pytest.importorskip("cloudpickle")
    assert why_not(closure([1, 2], change=False), 1) is None


def test_a_large_array_that_is_changed() -> None:
    numpy = pytest.importorskip("numpy")

    def double(array: Any) -> Any:
        array *= 2
        return float(array[0])

    assert "changes an argument" in (why_not(double, numpy.ones(100_000)) or "")


def test_something_large_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.executors._portable._LARGEST_PICKLE", 1000)
    assert "too large" in (why_not(len, "x" * 2000) or "")
    assert why_not(len, "x" * 500) is None


@pytest.mark.parametrize("guard", [True, False])
def test_a_script(tmp_path: Path, guard: bool) -> None:
    script = tmp_path / "script.py"
    indent, test = ("    ", "if __name__ == '__main__':\n") if guard else ("", "")
    script.write_text(
        "from weft.executors._portable import why_not_main\n"
        "def task(number): return number\n"
        f"{test}{indent}print(why_not_main((task, 1)))\n{indent}print(why_not_main((abs, 'json/__main__.py')))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50)
    first, second = done.stdout.splitlines()
    assert second == "None"
    assert (first == "None") is guard
    assert guard or "without `if __name__ == '__main__':`" in first


@pytest.fixture
def worker() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1) as pool:
        yield pool


def why_not_there(worker: ProcessPoolExecutor, fn: Callable[..., Any], *inputs: Any) -> str | None:
    trial = Trial(fn, inputs)
    assert trial.ended(fn(*inputs), gives_nothing=False) is None
    return trial.around.why_not_there(worker.submit(likeness, *trial.around.question).result())


@pytest.mark.parametrize(
    ("fn", "argument"),
    [
        (tasks.look_up, "a"),
        (tasks.by_kind, 1),
        (tasks.among_constants, 1),
        (tasks.fixed, 1),
        (tasks.by_module, 1),
        (tasks.FIXED, 1),
        (tasks.reads_in_many_ways, 1),
        (tasks.calls_helper, 1),
        (tasks.Counter().same, 1),
    ],
)
def test_a_worker_that_imports_the_module_finds_the_same(
    fn: Callable[..., Any], argument: object, worker: ProcessPoolExecutor
) -> None:
    assert why_not_there(worker, fn, argument) is None


def test_a_worker_finds_what_the_module_put_there(worker: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    def differs(fn: Callable[..., Any], *inputs: Any) -> str:
        return why_not_there(worker, fn, *inputs) or "nothing"

    assert "the global 'STARTED_BY', which a worker has as its module made it" in differs(tasks.pid_at_import, 1)
    monkeypatch.setitem(tasks.FILLED, "b", 2)
    assert "'FILLED'" in differs(tasks.look_up_filled, "b")
    monkeypatch.setattr(tasks, "LIMIT", 99)
    assert "'LIMIT'" in differs(tasks.among_constants, 1)
    monkeypatch.setattr(tasks, "add", lambda a, b=1: a - b)
    assert "'add'" in differs(tasks.calls_helper, 1)
    monkeypatch.setattr(tasks.portable_settings, "SCALE", 3)
    assert "the global 'SCALE' of tests.executors.portable_settings" in differs(tasks.by_module, 1)
    monkeypatch.setitem(tasks.KINDS, int, abs)
    assert "'KINDS'" in differs(tasks.by_kind, 1)


def test_what_is_changed_afterwards_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def around(fn: Callable[..., Any]) -> Around:
        return Trial(fn, (1,)).around

    found = around(tasks.reads_in_many_ways)
    assert found.changed() is None
    monkeypatch.setattr(tasks, "WEIGHTS", list(tasks.WEIGHTS))  # another one, and equal
    assert found.changed() is None
    tasks.WEIGHTS[0] += 1
    assert found.changed() == "the global 'WEIGHTS'"
    tasks.WEIGHTS[0] -= 1
    assert found.changed() is None
    tasks.ROWS["a"].append(3)
    assert found.changed() == "the global 'ROWS'"
    tasks.ROWS["a"].pop()
    settings = around(tasks.among_constants)
    monkeypatch.setattr(tasks.SETTINGS, "scale", 3)
    assert settings.changed() == "the global 'SETTINGS'"
    by_module = around(tasks.by_module)
    monkeypatch.setattr(tasks.portable_settings, "SCALE", 3)
    assert by_module.changed() == "the global 'SCALE' of tests.executors.portable_settings"
    counting = around(tasks.Counting())
    monkeypatch.setattr(tasks.Counting, "calls", tasks.Counting.calls + 1)
    assert counting.changed() == "the attribute Counting.calls"


def test_a_function_made_where_it_is_used_takes_its_variables_along(worker: ProcessPoolExecutor) -> None:
    pytest.importorskip("cloudpickle")
    assert why_not_there(worker, closure([1, 2], change=False), 1) is None


def test_without_source_what_can_change_stays() -> None:
    namespace: dict[str, Any] = {"__name__": "tests.nowhere", "T": {"a": 1}, "N": 1}
    exec("def look(key): return T[key]\ndef same(number): return number + N", namespace)
    assert "its source cannot be read" in examine(namespace["look"]).objections[0]
    assert examine(namespace["same"]).objections == ()


def test_what_can_be_said_before_a_call() -> None:
    assert examine(tasks.add) == Static((), ())
    noting = examine(tasks.note_by_helper)
    assert noting.watched == ("the global 'SEEN'",)
    assert noting.objections[0].startswith("note, which it uses, changes the global 'SEEN' (line ")
    assert "'COUNT'" in examine(tasks.count_up).objections[0]

    def both(number: int) -> int:
        with tasks.LOCK:
            return number + len(held)

    held = [tasks.LOCK]
    found = examine(both)
    assert found.watched == ("the variable 'held' around it",)
    assert "of tests.executors.portable_tasks, a lock that may have to be this one" in found.objections[0]
    assert found.objections[1] == "the variable 'held' around it cannot be pickled"
    assert examine(tasks.locked).objections == ("it uses the global 'LOCK', a lock that may have to be this one",)
