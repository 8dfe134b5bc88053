"""The modules have all names of those that they stand for: weft's where weft has some, else the very same objects."""

import asyncio
import concurrent.futures
import importlib
import sys

import pytest

import weft.compat.asyncio
import weft.compat.concurrent.futures
from tests.compat.child import output_of, run_python
from weft import executors
from weft.compat import _loops

POOLS = ["ThreadPoolExecutor", "ProcessPoolExecutor", "InterpreterPoolExecutor"]
POOLS_HERE = [name for name in POOLS if name in concurrent.futures.__all__]
LOOPS = ["Runner", "new_event_loop", "run", "to_thread"]
MODULES = {"asyncio": LOOPS, "concurrent.futures": POOLS_HERE}


@pytest.mark.parametrize("name", MODULES)
def test_all_names_are_there(name: str) -> None:
    original, ours = importlib.import_module(name), importlib.import_module(f"weft.compat.{name}")
    assert set(ours.__all__) == set(original.__all__)
    assert set(original.__all__) <= set(dir(ours))
    replaced = {name for name in original.__all__ if getattr(ours, name) is not getattr(original, name)}
    assert replaced == set(MODULES[name])


def test_the_executors_are_wefts() -> None:
    for name in POOLS_HERE:
        ours = getattr(weft.compat.concurrent.futures, name)
        assert ours is getattr(executors, name)
        assert issubclass(ours, getattr(concurrent.futures, name))


def test_asyncio_has_wefts_runners() -> None:
    assert [getattr(weft.compat.asyncio, name) for name in LOOPS] == [getattr(_loops, name) for name in LOOPS]


def test_there_is_no_interpreter_pool_where_the_stdlib_has_none() -> None:
    there = hasattr(concurrent.futures, "InterpreterPoolExecutor")
    assert hasattr(weft.compat.concurrent.futures, "InterpreterPoolExecutor") == there
    assert hasattr(weft.compat.concurrent.futures, "interpreter") == there


@pytest.mark.parametrize(
    "statement",
    [
        "import weft.compat.concurrent.futures as futures",
        "from weft.compat.concurrent import futures",
        "import weft; futures = weft.compat.concurrent.futures",
    ],
)
def test_submodules_are_attributes(statement: str) -> None:
    program = f"""{statement}
print(futures.thread.ThreadPoolExecutor.__module__, futures.process.ProcessPoolExecutor.__module__)
import concurrent.futures.process
assert futures.process.BrokenProcessPool is concurrent.futures.process.BrokenProcessPool
assert futures._base.Future is futures.Future is concurrent.futures.Future
"""
    assert output_of("-c", program) == "weft.executors.threads weft.executors.processes\n"


def test_submodules_can_be_imported() -> None:
    from weft.compat.concurrent.futures._base import PENDING
    from weft.compat.concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
    from weft.compat.concurrent.futures.thread import BrokenThreadPool, ThreadPoolExecutor

    assert (ProcessPoolExecutor, ThreadPoolExecutor) == (executors.ProcessPoolExecutor, executors.ThreadPoolExecutor)
    assert BrokenProcessPool is concurrent.futures.process.BrokenProcessPool
    assert BrokenThreadPool is concurrent.futures.thread.BrokenThreadPool
    assert PENDING == "PENDING"
    if sys.version_info >= (3, 14):
        from concurrent.futures import interpreter

        import weft.compat.concurrent.futures.interpreter as ours

        assert ours.InterpreterPoolExecutor is executors.InterpreterPoolExecutor
        assert ours.BrokenInterpreterPool is interpreter.BrokenInterpreterPool


def test_the_rest_of_asyncio_falls_through(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weft.compat.asyncio.events is asyncio.events
    assert weft.compat.asyncio.base_events.BaseEventLoop is asyncio.BaseEventLoop
    monkeypatch.setattr(asyncio, "sleep", "patched")
    assert weft.compat.asyncio.sleep == "patched"


def test_no_module_of_asyncio_is_loaded_twice() -> None:
    with pytest.raises(ModuleNotFoundError, match="is not a package"):
        importlib.import_module("weft.compat.asyncio.events")


@pytest.mark.parametrize("name", ["asyncio", "concurrent.futures", "concurrent.futures.thread"])
def test_an_unknown_name(name: str) -> None:
    module = importlib.import_module(f"weft.compat.{name}")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


@pytest.mark.parametrize("mode", ["managed", "passthrough", " Managed ", ""])
def test_star_imports(mode: str) -> None:
    program = """
from weft.compat.asyncio import *
from weft.compat.concurrent.futures import *
print(run.__module__.partition(".")[0], ThreadPoolExecutor.__module__.partition(".")[0], sleep.__module__)
"""
    where = "asyncio concurrent" if mode == "passthrough" else "weft weft"
    assert output_of("-c", program, mode=mode) == f"{where} asyncio.tasks\n"


def test_passthrough_gives_the_originals() -> None:
    program = """
import asyncio, concurrent.futures, importlib
for name in ["asyncio", "concurrent.futures"]:
    original, ours = importlib.import_module(name), importlib.import_module("weft.compat." + name)
    assert set(ours.__all__) == set(original.__all__) <= set(dir(ours))
    for one in original.__all__:
        assert getattr(ours, one) is getattr(original, one), one
import weft.compat.concurrent.futures as futures
assert futures.thread is concurrent.futures.thread
assert futures.process.ProcessPoolExecutor is concurrent.futures.ProcessPoolExecutor
from weft.compat.concurrent.futures.thread import ThreadPoolExecutor
assert ThreadPoolExecutor is concurrent.futures.ThreadPoolExecutor
import sys
assert "weft.executors" not in sys.modules
"""
    assert output_of("-c", program, mode="passthrough") == ""


@pytest.mark.parametrize("module", ["asyncio", "concurrent.futures"])
def test_another_mode_is_an_error_that_says_what_is_allowed(module: str) -> None:
    done = run_python("-c", f"import weft.compat.{module}", mode="passthru")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "weft.errors.InvalidSetting: WEFT_COMPAT_MODE='passthru' (from the environment) is not valid: "
        "did you mean 'passthrough'? Use one of 'managed', 'passthrough'"
    )


def test_a_wrong_mode_disturbs_nobody_else() -> None:
    assert output_of("-c", "import weft.compat, weft.executors.threads", mode="passthru") == ""


def test_the_package_has_its_modules_when_asked() -> None:
    program = """
import weft, sys
weft.compat
assert not {"asyncio", "weft.compat.asyncio"} & sys.modules.keys()
print(dir(weft.compat), weft.compat.asyncio.__name__, weft.compat.concurrent.futures.__name__)
try: weft.compat.nothing
except AttributeError as error: print(error)
"""
    assert output_of("-c", program).splitlines() == [
        "['asyncio', 'concurrent'] weft.compat.asyncio weft.compat.concurrent.futures",
        "module 'weft.compat' has no attribute 'nothing'",
    ]
