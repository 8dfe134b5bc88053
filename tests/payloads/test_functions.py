"""`FunctionTable`: the same function, the same number; a changed closure, another one; and bounded memory."""

import functools
import gc
import importlib.util
import inspect
import math
import operator
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.payloads import tasks
from tests.payloads.worker import Worker
from weft._payloads import functions as functions_module
from weft._payloads.functions import FunctionTable
from weft._payloads.working import load_function
from weft.errors import MissingDependency, PayloadError

needs_cloudpickle = pytest.mark.skipif(
    importlib.util.find_spec("cloudpickle") is None, reason="nothing can go by value without cloudpickle"
)


class Outer:
    @staticmethod
    def plain() -> str:
        return "plain"

    def method(self) -> str:
        return "method"

    @classmethod
    def of_class(cls) -> str:
        return "of class"


@functools.lru_cache
def cached(number: int) -> int:
    return number


@functools.cache
def decorated(number: int) -> int:
    return number


BY_NAME = [tasks.give, len, math.sqrt, operator.add, Outer, Outer.plain, Outer.method, str, str.upper, int.__add__]
BY_NAME += [cached, decorated, tasks.Config, OSError]


@pytest.mark.parametrize("function", BY_NAME, ids=lambda function: function.__qualname__)
def test_what_a_name_leads_to_goes_by_name(function: Any) -> None:
    table = FunctionTable()
    number = table.number(function)
    assert isinstance(number, int)
    assert number > 0
    assert table.number(function) == number
    definition = table.definition(number)
    assert len(definition) < 100
    assert load_function(definition) is function
    assert table.numbered(function) == (number, definition)


class Instance:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    "function",
    [functools.partial(len), Outer().method, Outer.of_class, Instance(), [].append, operator.itemgetter(1)],
    ids=lambda function: type(function).__name__,
)
def test_what_has_a_state_has_no_number(function: Any) -> None:
    assert FunctionTable().number(function) is None


def test_the_second_time_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    table = FunctionTable()
    number = table.number(tasks.give)
    monkeypatch.setattr(functions_module, "reference_to", None)
    monkeypatch.setattr(functions_module, "dump_by_value", None)
    assert table.number(tasks.give) == number


def test_numbers_differ_and_an_unknown_one_is_a_key_error() -> None:
    table = FunctionTable()
    assert len({table.number(function) for function in BY_NAME}) == len(BY_NAME)
    with pytest.raises(KeyError):
        table.definition(12345)


# ---- by value ----------------------------------------------------------------------------------------


def adder(step: Any) -> Callable[[int], Any]:
    return lambda number: number + step


@needs_cloudpickle
def test_a_closure_goes_by_value_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = FunctionTable()
    function = adder(5)
    number = table.number(function)
    assert number is not None
    assert load_function(table.definition(number))(1) == 6
    monkeypatch.setattr(functions_module, "dump_by_value", None)  # what it captured is plain: it is not pickled again
    assert table.number(function) == number


@needs_cloudpickle
def test_equal_closures_have_one_number_and_others_another() -> None:
    table = FunctionTable()
    assert table.number(adder(5)) == table.number(adder(5)) != table.number(adder(6))
    assert table.number(adder(1)) != table.number(adder(True))


def changing(how: str) -> tuple[Callable[[], Any], Callable[[], None]]:
    """A function, and what makes it return something else."""
    rebound = 1
    mutated = [1]

    def by_rebinding() -> Any:
        return rebound

    def rebind() -> None:
        nonlocal rebound
        rebound += 1

    def by_mutation() -> Any:
        return list(mutated)

    def by_default(value: Any = 1) -> Any:
        return value

    def by_default_replaced() -> None:
        by_default.__defaults__ = (2,)

    def by_keyword(*, value: Any = 1) -> Any:
        return value

    def by_keyword_replaced() -> None:
        by_keyword.__kwdefaults__ = {"value": 2}

    def by_attribute() -> Any:
        return 1

    def by_attribute_set() -> None:
        by_attribute.extra = 2  # type: ignore[attr-defined]

    def by_code() -> Any:
        return 1

    def by_code_replaced() -> None:
        by_code.__code__ = (lambda: 2).__code__

    def by_global() -> Any:
        return [a_global for _ in "x"]

    def by_global_set() -> None:
        globals()["a_global"] += 1

    return {
        "rebinding": (by_rebinding, rebind),
        "mutation": (by_mutation, lambda: mutated.append(2)),
        "default": (by_default, by_default_replaced),
        "keyword": (by_keyword, by_keyword_replaced),
        "attribute": (by_attribute, by_attribute_set),
        "code": (by_code, by_code_replaced),
        "global": (by_global, by_global_set),
    }[how]


a_global = 1


@needs_cloudpickle
@pytest.mark.parametrize("how", ["rebinding", "mutation", "default", "keyword", "attribute", "code", "global"])
def test_a_changed_closure_is_sent_anew(how: str) -> None:
    table = FunctionTable()
    function, change = changing(how)
    before = table.number(function)
    assert table.number(function) == before
    change()
    after = table.number(function)
    assert after is not None
    assert after != before
    again = load_function(table.definition(after))
    assert again() == function()
    assert vars(again) == vars(function)


@needs_cloudpickle
def test_a_class_of_a_function_goes_by_value() -> None:
    class Local:
        value = 3

    table = FunctionTable()
    number = table.number(Local)
    assert number is not None
    assert load_function(table.definition(number))().value == 3
    assert table.number(Local) == number


@needs_cloudpickle
def test_a_function_that_refers_to_itself_is_freed() -> None:
    table = FunctionTable()

    def number_and_reference() -> tuple[Any, Any]:
        def factorial(number: int) -> int:
            return number * factorial(number - 1) if number else 1

        return table.number(factorial), weakref.ref(factorial)

    number, function = number_and_reference()
    assert load_function(table.definition(number))(5) == 120
    gc.collect()
    assert function() is None


@needs_cloudpickle
def test_in_a_real_worker() -> None:
    with Worker() as worker:
        assert worker.call(adder(5), 1) == 6
        assert worker.call(lambda *args, **kwargs: (args, kwargs), 1, key=2) == ((1,), {"key": 2})
        function, change = changing("mutation")
        assert worker.call(function) == [1]
        change()
        assert worker.call(function) == [1, 2]


def test_without_cloudpickle_the_error_names_function_extra_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(MissingDependency) as caught:
        FunctionTable().number(adder(5))
    assert caught.value.extra == "closures"
    assert caught.value.package == "cloudpickle"
    assert "adder.<locals>.<lambda> is not at the top level of its module" in str(caught.value)
    assert 'move it there, or run: pip install "weft[closures]"' in str(caught.value)


@needs_cloudpickle
def test_a_captured_saboteur_is_named() -> None:
    hostile = tasks.Hostile("pickle", "exit")
    with pytest.raises(PayloadError) as caught:
        FunctionTable().number(lambda: hostile)
    assert caught.value.path == "fn.__closure__[0].cell_contents"
    assert "<lambda>" in (caught.value.task or "")


# ---- bounds --------------------------------------------------------------------------------------------


@needs_cloudpickle
def test_definitions_stay_while_their_function_lives_and_the_idle_are_bounded() -> None:
    table = FunctionTable(kept=10)
    alive = [adder(f"alive {number}") for number in range(20)]
    numbers = [table.number(function) for function in alive]
    for number in range(100):
        table.number(adder(number))
    last = table.number(adder(99))
    assert [table.number(function) for function in alive] == numbers
    for number, function in zip(numbers, alive, strict=True):
        assert number is not None
        again: Any = load_function(table.definition(number))
        assert inspect.getclosurevars(again) == inspect.getclosurevars(function)
    assert last is not None
    assert table.definition(last)
    assert len(table._by_number) == len(table._by_payload) <= 20 + 10 + 2
    assert len(table._known) <= 20 + 2
    again = table.number(adder(3))  # long forgotten, so a new number
    assert again is not None
    assert again > last


@needs_cloudpickle
def test_the_idle_are_bounded_in_bytes_too() -> None:
    table = FunctionTable(kept_bytes=100_000)
    for number in range(30):
        table.number(adder(f"{number}" * 20_000))
    table.number(len)
    assert sum(map(len, table._by_payload)) < 200_000


@needs_cloudpickle
def test_a_closure_that_changes_for_ever_does_not_fill_the_memory() -> None:
    table = FunctionTable(kept=10)
    function, change = changing("mutation")
    numbers = set()
    for _ in range(50):
        numbers.add(table.number(function))
        change()
    assert len(numbers) == 50
    assert len(table._by_number) <= 11


def test_a_function_at_the_address_of_one_that_is_gone_is_another() -> None:
    module = types.ModuleType("a_module_of_this_test")
    sys.modules[module.__name__] = module
    code = (lambda: None).__code__
    try:
        table = FunctionTable()
        addresses: set[int] = set()
        numbers: set[Any] = set()
        turns = 0
        while turns < 300 or (len(addresses) == turns and turns < 100_000):  # the allocator of 3.13t takes its time
            turn, turns = turns, turns + 1
            name = f"function_{turn}"
            function = types.FunctionType(code, module.__dict__, name)
            function.__qualname__ = name
            setattr(module, name, function)
            addresses.add(id(function))
            number = table.number(function)
            assert number is not None
            assert table.definition(number).decode() == f"a_module_of_this_test:{name}"
            assert table.number(function) == number
            table.number(len if turn % 2 else sum)
            numbers.add(number)
            delattr(module, name)
            del function
        assert len(numbers) == turns
        assert len(addresses) < turns, "no address came again, so nothing was tried"
        table.number(print)
        assert all(table._known[id(function)].function() is function for function in (len, sum, print))
        assert sum(definition.living for definition in table._by_number.values()) == len(table._known)
    finally:
        del sys.modules[module.__name__]


@needs_cloudpickle
def test_an_idle_definition_that_is_wanted_again_stays() -> None:
    table = FunctionTable(kept=2)
    number = table.number(adder("back again"))
    table.number(len)  # buries the first
    assert list(table._idle) == [number]
    again = adder("back again")
    assert table.number(again) == number
    for other in range(10):
        table.number(adder(other))
    assert number is not None
    assert table.definition(number)
    assert table.number(again) == number
    assert number not in table._idle


def test_a_collection_under_the_lock_may_use_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = FunctionTable()
    numbers: list[Any] = []

    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            numbers.append(table.number(tasks.give))

    bury = FunctionTable._bury_lock_held

    def collect_and_bury(table: FunctionTable) -> None:
        gc.collect()
        bury(table)

    gc.collect()
    Dying()
    monkeypatch.setattr(FunctionTable, "_bury_lock_held", collect_and_bury)
    together(1, lambda _: numbers.append(table.number(len)))  # in a thread, so that a deadlock fails and does not hang
    assert len(set(numbers)) == 2
    assert numbers == [table.number(tasks.give), table.number(len)]


# ---- threads -----------------------------------------------------------------------------------------------


def together(threads: int, work: Callable[[int], None]) -> None:
    """Runs it in threads that start at once; the first error is raised."""
    barrier = threading.Barrier(threads)
    failed: list[BaseException] = []

    def run(index: int) -> None:
        try:
            barrier.wait(20)
            work(index)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(40)
    assert not any(worker.is_alive() for worker in workers)
    if failed:
        raise failed[0]


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@needs_cloudpickle
@pytest.mark.usefixtures("switching_often")
def test_threads_agree_on_numbers() -> None:
    table = FunctionTable(kept=3)
    shared = [*BY_NAME, *(adder(number) for number in range(10))]
    seen: list[list[Any]] = [[] for _ in range(8)]

    def work(index: int) -> None:
        for turn in range(40):
            for function in shared[index:] + shared[:index]:
                numbered = table.numbered(function)
                assert numbered is not None
                assert table.definition(numbered[0]) == numbered[1]
            own = table.numbered(adder(f"{index} {turn}"))  # comes and goes, and pushes others out
            assert own is not None
            assert f"{index} {turn}".encode() in own[1]
        seen[index] = [table.number(function) for function in shared]

    together(8, work)
    assert all(numbers == seen[0] for numbers in seen)
    assert len(set(seen[0])) == len(shared)
    gc.collect()
    table.number(adder("the last"))
    assert len(table._by_number) <= len(shared) + 3 + 1
    assert sum(definition.living for definition in table._by_number.values()) == len(table._known)


@pytest.mark.usefixtures("switching_often")
def test_threads_see_a_new_function_at_the_same_moment() -> None:
    for turn in range(50):
        table = FunctionTable()
        numbers: list[Any] = [None] * 4

        def work(index: int, table: FunctionTable = table, numbers: list[Any] = numbers) -> None:
            numbers[index] = table.number(tasks.give)

        together(4, work)
        assert len(set(numbers)) == 1, turn
        assert len(table._known) == 1
        assert [definition.living for definition in table._by_number.values()] == [1]


def test_the_test_s_own_module_can_be_imported_by_workers() -> None:
    assert Path(__file__).stem in __name__
