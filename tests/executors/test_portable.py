"""Which functions may run where nothing is shared."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.executors import portable_tasks as tasks
from weft.executors._portable import Static, Trial, examine


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
        (tasks.look_up, ("a",), "uses the global 'TABLE', which a worker would have as its module made it"),
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
        f"{test}{indent}print(why_not_main((task, 1)))\n{indent}print(why_not_main((abs, 1)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50)
    first, second = done.stdout.splitlines()
    assert second == "None"
    assert (first == "None") is guard
    assert guard or "without `if __name__ == '__main__':`" in first


def test_what_can_be_said_before_a_call() -> None:
    assert examine(tasks.add) == Static((), ())
    assert examine(tasks.note_by_helper).watched == ("the global 'SEEN'",)
    assert "'COUNT'" in examine(tasks.count_up).objections[0]

    def both(number: int) -> int:
        with tasks.LOCK:
            return number + len(held)

    held = [tasks.LOCK]
    assert examine(both) == Static(
        ("the variable 'held' around it cannot be pickled",), ("the variable 'held' around it",)
    )
    assert examine(tasks.locked).objections == ("it uses the global 'LOCK', a lock that may have to be this one",)
