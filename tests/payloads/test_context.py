"""Context variables of the caller's in another interpreter: those that can be found there, and have values that can cross."""

import contextvars
import decimal
import marshal
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import weft
from tests.payloads import tasks
from tests.payloads.worker import Worker
from weft._payloads.context import apply_context, pack_context


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def packed(**values: Any) -> bytes | None:
    context = contextvars.Context()
    for name, value in values.items():
        context.run(getattr(tasks, name).set, value)
    return pack_context(context)


def test_an_empty_context_is_nothing() -> None:
    assert pack_context(contextvars.Context()) is None


def test_values_arrive(worker: Worker) -> None:
    worker.say("context", packed(variable={"a": [1]}, called_otherwise=tasks.Config(2)))
    assert worker.call(tasks.read_variables) == ({"a": [1]}, tasks.Config(2))


@pytest.mark.parametrize("moment", ["pickle", "unpickle"])
@pytest.mark.parametrize("how", ["raise", "exit", "recurse"])
def test_what_cannot_cross_is_left_out(moment: str, how: str) -> None:
    with Worker() as worker:
        worker.say("context", packed(variable=1, called_otherwise=tasks.Hostile(moment, how)))
        assert worker.call(tasks.read_variables) == (1, "unset")


def test_a_variable_that_no_module_has_is_left_out() -> None:
    nowhere: contextvars.ContextVar[int] = contextvars.ContextVar("nowhere")
    context = contextvars.Context()
    context.run(nowhere.set, 1)
    for _ in range(2):
        assert pack_context(context) is None
    context.run(tasks.variable.set, threading.Lock())
    assert pack_context(context) is None


def test_a_variable_is_found_once_its_module_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    late: contextvars.ContextVar[int] = contextvars.ContextVar("late")
    context = contextvars.Context()
    context.run(late.set, 5)
    assert pack_context(context) is None
    module = types.ModuleType("a_late_module")
    module.other_name = late  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_late_module", module)
    data = pack_context(context)
    assert data is not None
    here = contextvars.Context()
    here.run(apply_context, data)
    assert here[late] == 5


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_module_that_made_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Those that have it from there may be dear to import."""
    import sys
    import types

    made = types.ModuleType("a_module_that_makes")
    exec("import contextvars\nmine = contextvars.ContextVar('mine')\ndef read(): return mine.get()", vars(made))
    reads = types.ModuleType("a_module_that_reads")
    reads.mine = made.mine  # type: ignore[attr-defined]
    also_makes = types.ModuleType("a_module_that_makes_others")
    vars(also_makes).update(mine=made.mine, read=made.read, ContextVar=contextvars.ContextVar)
    modules = [made, reads, also_makes]
    for module in modules[first:] + modules[:first]:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    context = contextvars.Context()
    context.run(made.mine.set, 1)
    data = pack_context(context)
    assert data is not None
    [(home, name, _)] = marshal.loads(data)
    assert (home, name) == ("a_module_that_makes", "mine")


def test_the_standard_library_keeps_its_own() -> None:
    def work() -> None:
        with decimal.localcontext() as changed, warnings.catch_warnings():
            changed.prec = 5
            warnings.simplefilter("ignore")
            tasks.variable.set("mine")
            data = pack_context(contextvars.copy_context())
        assert data is not None
        assert b"decimal" not in data
        assert b"warnings" not in data
        here = contextvars.Context()
        here.run(apply_context, data)
        assert dict(here) == {tasks.variable: "mine"}

    contextvars.Context().run(work)


@pytest.mark.parametrize("module", [decimal, weft])
def test_a_variable_of_these_is_left_out(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own: contextvars.ContextVar[int] = contextvars.ContextVar("own")
    monkeypatch.setattr(module, "own", own, raising=False)
    context = contextvars.Context()
    context.run(own.set, 1)
    assert pack_context(context) is None


def test_a_module_that_the_worker_has_not_is_left_out() -> None:
    import pickle

    data = marshal.dumps(
        [
            ("no.such.module", "name", pickle.dumps(1)),
            (tasks.__name__, "give", b""),
            (tasks.__name__, "variable", pickle.dumps(2)),
        ]
    )
    here = contextvars.Context()
    here.run(apply_context, data)
    assert dict(here) == {tasks.variable: 2}


def test_a_variable_of_main_waits_until_main_is_there(tmp_path: Any) -> None:
    from tests.payloads.test_main_module import ran, script

    text = """
        import contextvars
        from weft._payloads.context import pack_context
        variable = contextvars.ContextVar("variable", default="unset")
        def read(): return variable.get()
        def parent(worker):
            variable.set("mine")
            data = pack_context(contextvars.copy_context())
            worker.say("context", data)     # nothing of __main__ has been needed yet
            print(worker.call(pow, 2, 3), worker.call(read))
            worker.say("context", data)
            print(worker.call(read))
    """
    script(tmp_path, text)
    assert ran("script.py", cwd=tmp_path) == ["8", "unset", "mine"]
