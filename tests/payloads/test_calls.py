"""Calls and results: what goes in comes out, and what cannot go in is named."""

import array
import marshal
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.payloads import tasks
from tests.payloads.worker import Worker
from weft._payloads.calling import pack_call, unpack_result
from weft._payloads.working import pack_result, unpack_call
from weft.errors import Interrupted, PayloadError

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
HASHABLE = st.recursive(PLAIN, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=3)
        | st.builds(tasks.Config, inner, inner)
    ),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@given(st.lists(NESTED, max_size=4), st.dictionaries(st.text(min_size=1), NESTED, max_size=3))
def test_calls_and_results_come_out_as_they_went_in(args: list[Any], kwargs: dict[str, Any]) -> None:
    kwnames = tuple(kwargs) or None
    data, buffers = pack_call(7, kwnames, (*args, *kwargs.values()))
    assert data[0] == 0x80
    assert buffers == []
    assert unpack_call(data, buffers) == (7, kwnames, *args, *kwargs.values())
    assert unpack_result(*pack_result(args)) == args


def test_what_marshal_has_written_is_read_too() -> None:
    call = (3, ("x",), 1, "two", (3.0, b"4", None))
    assert unpack_call(marshal.dumps(call)) == call
    assert unpack_result(marshal.dumps(call)) == call


def test_what_is_shared_stays_shared() -> None:
    one: list[Any] = []
    one.append(one)
    _, _, first, second = unpack_call(*pack_call(1, None, (one, {"same": one})))
    assert first[0] is first
    assert second["same"] is first


def test_through_a_real_worker(worker: Worker) -> None:
    config = tasks.Config([1, {"two": (3,)}], {4})
    assert worker.call(tasks.give, 1, config, key=config) == ((1, config), {"key": config})
    assert worker.call(str.upper, "abc") == "ABC"
    assert worker.call(tasks.Config, 1) == tasks.Config(1)


def test_a_callable_with_state_goes_along_with_each_call(worker: Worker) -> None:
    counter = tasks.Callable()
    assert [worker.call(counter), worker.call(counter)] == [1, 1]
    counter.count = 10
    assert worker.call(counter) == 11
    assert worker.call("abc".replace, "b", "x") == "axc"


# ---- buffers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b"bytes"),
        memoryview(bytearray(b"bytearray")),
        memoryview(array.array("d", [1.0, 2.0, 3.0])),
        memoryview(array.array("i", range(6))).cast("B").cast("i", (2, 3)),
        memoryview(array.array("h", range(10)))[2:5],
        memoryview(array.array("q")),
        memoryview(b"12345678").cast("q", ()),
    ],
    ids=lambda view: f"{view.format}{view.shape}",
)
def test_memoryviews_go_out_of_band(worker: Worker, view: memoryview) -> None:
    data, buffers = pack_call(1, None, ([view], view))
    assert len(buffers) == 1
    _, _, (first,), second = unpack_call(data, buffers)
    assert first is second
    assert (first.format, first.shape, first.readonly, first) == (view.format, view.shape, view.readonly, view)
    # Over a pipe all of it is bytes at the other end, which is read-only.
    format_, shape, _, values = worker.call(tasks.doubled, view)
    assert (format_, shape, values) == (view.format, view.shape, view.tolist())
    assert worker.call(tasks.same, view) == view


def test_a_buffer_is_not_copied() -> None:
    memory = bytearray(1 << 20)
    data, buffers = pack_call(1, None, (memoryview(memory), pickle.PickleBuffer(memory)))
    assert len(data) < 1000
    _, _, view, same = unpack_call(data, buffers)
    memory[5] = 7
    assert view[5] == 7
    assert memoryview(same)[5] == 7


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (memoryview(b"abcdef")[::2], "not C-contiguous"),
        (memoryview(b"ab").cast("B", (1, 2))[0:0], "holds nothing"),
    ],
)
def test_a_memoryview_that_cannot_be_made_anew(view: memoryview, why: str) -> None:
    with pytest.raises(PayloadError, match=why) as caught:
        pack_call(1, ("x",), (1, [view]))
    assert caught.value.path == "kwargs['x'][0]"


def test_arrays_of_numpy_go_out_of_band(worker: Worker) -> None:
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(10_000, dtype="f8").reshape(100, 100)
    data, buffers = pack_call(1, None, (numbers,))
    assert len(data) < 1000
    assert unpack_call(data, buffers)[2].sum() == numbers.sum()
    with pytest.raises(PayloadError, match="not C-contiguous"):
        pack_call(1, None, (memoryview(numbers.T),))
    with pytest.raises(PayloadError, match="format '>d'"):
        pack_call(1, None, (memoryview(numbers.astype(">f8")),))


# ---- functions among the values ------------------------------------------------------------------------


def test_closures_among_the_arguments_go_by_value(worker: Worker) -> None:
    pytest.importorskip("cloudpickle")
    step = 5

    def add(number: int) -> int:
        return number + step

    assert worker.call(map_over, [add, lambda number: number * step], 2) == [7, 10]


def map_over(functions: list[Any], value: Any) -> list[Any]:
    return [function(value) for function in functions]


def test_functions_and_classes_with_a_name_go_by_name() -> None:
    data, _ = pack_call(
        1, None, (tasks.give, tasks.Config, len, dict, type(None), type(...), list[int], NotImplemented)
    )
    assert b"cloudpickle" not in data
    assert len(data) < 300


def test_a_buffer_that_a_closure_holds_goes_out_of_band() -> None:
    numpy = pytest.importorskip("numpy")
    numbers = numpy.ones(1 << 17)
    data, buffers = pack_call(1, None, (lambda: numbers,))
    assert len(data) < 2000
    assert unpack_call(data, buffers)[2]().sum() == 1 << 17


# ---- what fails ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "exit", "recurse", "nonsense"])
def test_a_saboteur_at_pickling_is_the_culprit(worker: Worker, how: str) -> None:
    hostile = tasks.Hostile("pickle", how)
    with pytest.raises(PayloadError) as caught:
        pack_call(1, None, (1, {"here": [hostile]}), task="fetch")
    assert caught.value.path == "args[1]['here'][0]"
    assert caught.value.task == "fetch"
    assert str(caught.value).startswith("args[1]['here'][0] of task 'fetch' cannot be pickled: ")
    assert "Hostile is pickled" in str(caught.value)
    assert caught.value.__cause__ is not None
    with pytest.raises(PayloadError, match=r"result\[0\] of task 'the task'"):
        worker.call(make_hostile, "pickle", how)
    assert worker.call(pow, 2, 3) == 8


@pytest.mark.parametrize("how", ["raise", "exit", "recurse"])
def test_a_saboteur_at_rebuilding_is_told_of(worker: Worker, how: str) -> None:
    with pytest.raises(PayloadError, match="an argument cannot be rebuilt in the worker"):
        worker.call(tasks.same, tasks.Hostile("unpickle", how))
    with pytest.raises(PayloadError, match="the result of a task cannot be rebuilt here") as caught:
        worker.call(make_hostile, "unpickle", how)
    assert caught.value.__cause__ is not None
    assert worker.call(pow, 2, 3) == 8


def make_hostile(moment: str, how: str) -> Any:
    return [tasks.Hostile(moment, how)]


class Raiser:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted(), MemoryError()], ids=repr)
def test_an_interruption_is_no_object_s_fault(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        pack_call(1, None, (Raiser(error),))
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        pack_result(Raiser(error))
    assert caught.value is error


def test_a_result_names_its_path_and_task(worker: Worker) -> None:
    with pytest.raises(PayloadError) as caught:
        worker.call(tasks.lock)
    assert caught.value.path == "result['a'][0]"
    assert caught.value.task == "the task"
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_function_that_is_not_there(worker: Worker) -> None:
    worker.say("define", 9999, b"tests.payloads.nowhere:function")
    with pytest.raises(PayloadError, match=r"function tests\.payloads\.nowhere\.function cannot be rebuilt") as caught:
        worker.send(*pack_call(9999, None, ()))
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
