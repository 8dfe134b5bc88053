"""The path to what could not be pickled: evaluated, it leads there; and it is found in time."""

import collections
import functools
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lateness import Late, check_within, crowding
from tests.payloads import tasks
from weft._payloads import culprits
from weft._payloads.calling import pack_call
from weft._payloads.functions import FunctionTable
from weft._payloads.working import pack_result
from weft.errors import MissingDependency, PayloadError

PLAIN = st.none() | st.integers() | st.text(max_size=5)


def refused(*args: Any, **kwargs: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        pack_call(1, tuple(kwargs) or None, (*args, *kwargs.values()), task="fetch")
    return caught.value


def evaluated(error: PayloadError, *args: Any, **kwargs: Any) -> Any:
    assert error.path is not None, error
    assert str(error).startswith(f"{error.path} of task 'fetch' cannot be pickled: ") or len(error.path) > 400
    return eval(error.path, {"args": args, "kwargs": kwargs})


# ---- anywhere in anything --------------------------------------------------------------------------------


class Keyed:
    """A key of a dict that holds something."""

    def __init__(self, held: Any) -> None:
        self.held = held


HOLDERS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "list": lambda held, beside: [*beside, held, *beside],
    "tuple": lambda held, beside: (*beside, held, *beside),
    "dict": lambda held, beside: {**dict.fromkeys(beside), "held": held},
    "key": lambda held, beside: {Keyed(held): 1, **dict.fromkeys(beside)},
    "value of an odd key": lambda held, beside: {Keyed(1): beside, Keyed(2): held},
    "set": lambda held, beside: {Keyed(held), *beside},
    "frozenset": lambda held, beside: frozenset([*beside, Keyed(held)]),
    "attribute": lambda held, beside: tasks.Config(held, beside),
    "other attribute": lambda held, beside: tasks.Config(beside, held),
    "slot": lambda held, beside: tasks.Slotted(held),
    "odd attribute": lambda held, beside: types.SimpleNamespace(**{"a b": held, "c": beside}),
    "deque": lambda held, beside: collections.deque([*beside, held]),
    "ordered": lambda held, beside: collections.OrderedDict(x=beside, y=held),
    "partial": lambda held, beside: functools.partial(tasks.give, *beside, key=held),
    "method": lambda held, beside: Keyed(held).__init__,
    "exception": lambda held, beside: ValueError(*beside, held),
}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(HOLDERS)), st.lists(PLAIN, max_size=3)), max_size=7),
    st.lists(PLAIN, max_size=2),
)
def test_the_path_evaluated_leads_to_the_culprit(holders: list[tuple[str, list[Any]]], before: list[Any]) -> None:
    lock = planted = threading.Lock()
    for holder, beside in holders:
        planted = HOLDERS[holder](planted, beside)
    args = (*before, [{"ok": tasks.Config(1)}], planted)
    error = refused(*args)
    assert evaluated(error, *args) is lock
    error = refused(1, key=planted)
    assert evaluated(error, 1, key=planted) is lock
    with pytest.raises(PayloadError) as caught:
        pack_result(planted)
    assert eval(caught.value.path or "", {"result": planted}) is lock


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda lock: {"config": {"sock": lock}}, "args[1]['config']['sock']"),
        (lambda lock: tasks.Config({"sock": lock}), "args[1].config['sock']"),
        (lambda lock: [0, 1, 2, tasks.Slotted(lock)], "args[1][3].held"),
        (lambda lock: {tasks.Slotted(lock)}, "list(args[1])[0].held"),
        (lambda lock: collections.defaultdict(functools.partial(tasks.give, lock)), "args[1].default_factory.args[0]"),
        (lambda lock: lock, "args[1]"),
    ],
)
def test_paths_read_as_one_would_write_them(make: Any, path: str) -> None:
    assert refused(0, make(threading.Lock())).path == path


def test_an_attribute_that_the_class_hides_is_found_in_the_dict() -> None:
    hidden = Hidden()
    error = refused(hidden)
    assert error.path == "args[0].__dict__['lock']"
    assert evaluated(error, hidden) is hidden.__dict__["lock"]


class Hidden:
    def __init__(self) -> None:
        self.__dict__["lock"] = threading.Lock()

    @property
    def lock(self) -> None:
        raise AssertionError("not for you")


def test_what_getstate_makes_is_looked_for_there() -> None:
    error = refused(1, [tasks.Stateful(5)])
    assert error.path == "args[1][0].__getstate__()['made'][0]"
    assert isinstance(evaluated(error, 1, [tasks.Stateful(5)]), type(threading.Lock()))


def test_cycles_end() -> None:
    cycle: list[Any] = [1]
    cycle.append({"back": cycle})
    cycle[1]["config"] = tasks.Config(cycle, threading.Lock())
    error = refused(cycle)
    assert error.path == "args[0][1]['config'].other"


def test_cycles_end_though_there_is_no_culprit_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(culprits, "BUDGET", 5.0)
    cycle: list[Any] = []
    cycle += [{"back": cycle}, tasks.Config(cycle, (cycle,))]
    seconds, error = seconds_to_find(TypeError("no"), threading.Lock(), **{"args[0]": cycle})
    assert error.path is None
    assert seconds < 4  # it ended by itself


def test_the_callable_of_a_call_without_a_number_is_fn() -> None:
    with pytest.raises(PayloadError) as caught:
        pack_call(0, None, (functools.partial(tasks.give, threading.Lock()), 1))
    assert caught.value.path == "fn.args[0]"
    with pytest.raises(PayloadError) as caught:
        pack_call(0, ("key",), (functools.partial(tasks.give), 1, threading.Lock()))
    assert caught.value.path == "kwargs['key']"


def test_a_closure_names_what_it_captured() -> None:
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()
    function = lambda: lock  # noqa: E731
    with pytest.raises(PayloadError) as caught:
        FunctionTable().number(function)
    assert caught.value.path is not None
    assert caught.value.path == "fn.__closure__[0].cell_contents"
    assert eval(caught.value.path, {"fn": function}) is lock
    error = refused([function])
    assert evaluated(error, [function]) is lock


def test_without_cloudpickle_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    function = lambda: 1  # noqa: E731
    error = refused([function])
    assert error.path == "args[0][0]"
    assert isinstance(error.__cause__, MissingDependency)
    assert 'pip install "weft[closures]"' in str(error)
    assert "not at the top level" in str(error)


def test_an_object_of_a_class_that_cannot_cross_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)

    class Local:
        pass

    value = [0, tasks.Config(Local())]
    error = refused(value)
    assert error.path == "args[0][1].config"
    assert "Local is not at the top level" in str(error)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ((number for number in ()), "pass what it yields"),
        (types, "import it inside the task"),
        (open(__file__), "pass its name"),  # noqa: SIM115
        (threading.Lock(), "make it inside the task"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_remedy_is_that_of_its_kind(value: Any, remedy: str) -> None:
    error = refused([value])
    assert error.path == "args[0][0]"
    assert remedy in str(error)
    if hasattr(value, "close"):
        value.close()


# ---- in time -------------------------------------------------------------------------------------------------


def seconds_to_find(error: BaseException, culprit: object, **roots: Any) -> tuple[float, PayloadError]:
    begin = time.perf_counter()
    found = culprits.payload_error(error, culprit, roots)
    return time.perf_counter() - begin, found


@pytest.mark.parametrize("beside", ["numbers", "tuples", "objects"])
def test_a_huge_argument_beside_the_culprit(beside: str) -> None:
    lock = threading.Lock()
    huge: Any = {
        "numbers": lambda: list(range(3_000_000)),
        "tuples": lambda: [(number, str(number)) for number in range(300_000)],
        "objects": lambda: [tasks.Config([number]) for number in range(200_000)],
    }[beside]()
    args = (huge, tasks.Config({"sock": lock}))
    seconds, error = seconds_to_find(TypeError("no"), lock, **{"args[0]": huge, "args[1]": args[1]})
    assert error.path == "args[1].config['sock']"
    check_within(seconds, 0.1)


def test_directly_in_a_huge_argument() -> None:
    lock = threading.Lock()
    huge = [*range(500_000), lock, *range(500_000)]
    error = refused(huge)
    if error.path is None and crowding() > 1:
        raise Late("time was over before it was found")
    assert error.path == "args[0][500000]"


def test_one_that_is_not_found_in_time_is_still_an_error_in_time() -> None:
    huge = [[[number]] for number in range(500_000)]
    lock = threading.Lock()
    huge[-5][0].append(lock)  # type: ignore[arg-type]
    seconds, error = seconds_to_find(TypeError("no"), lock, **{"args[0]": huge})
    assert error.path in {None, "args[0][499995][0][1]"}
    assert str(error).startswith(("something in args[0] cannot be pickled: TypeError: no; ", "args[0][499995][0][1] "))
    check_within(seconds, 0.1)


def test_pickle_s_own_notes_lead_into_a_huge_argument() -> None:
    huge = [[[number]] for number in range(500_000)]
    lock = threading.Lock()
    huge[-5][0].append(lock)  # type: ignore[arg-type]
    error = TypeError("no")
    for note in (
        "tuple item 1",
        "Config state",
        "Config object",
        "list item 1",
        "list item 0",
        "list item 499995",
        "tuple item 3",
    ):
        error.add_note(f"when serializing {note}")
    config = tasks.Config((1, lock))
    huge[-5][0][1] = config  # type: ignore[assignment]
    error.__notes__.insert(1, "when serializing dict item 'config'")
    seconds, found = seconds_to_find(error, lock, **{"args[0]": 1, "args[1]": huge})
    assert found.path == "args[1][499995][0][1].config[1]"
    check_within(seconds, 0.1)


def test_too_deep_a_list_is_told_as_such() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    begin = time.perf_counter()
    error = refused(1, deep)
    seconds = time.perf_counter() - begin
    assert isinstance(error.__cause__, RecursionError)
    assert error.path == "args[1]"
    assert "nested" in str(error)
    assert len(str(error)) < 1000
    # Down it goes level by level: what frees a list of lists does not recurse.
    check_within(seconds, 0.5, "pickling itself takes the most of it")


def test_a_long_chain_of_objects() -> None:
    first = node = tasks.Config(None)
    for _ in range(100):
        node.config = tasks.Config(None)
        node = node.config
    node.config = threading.Lock()
    error = refused(first)
    assert evaluated(error, first) is node.config
    assert len(str(error)) < 1000
