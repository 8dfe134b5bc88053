"""What is public: each name in one place, all of them there, and an import that costs nothing (invariant 10)."""

import ast
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import weft

PACKAGE = Path(weft.__file__).parent
TOP_LEVEL = {
    *("Run", "RuntimeConfig", "set_default_config", "get_default_config", "reset", "capabilities"),
    *("async_", "Future", "TaskGroup", "when_all", "when_any", "dataflow", "ready_future", "shared_future"),
    *("init", "shutdown", "is_running"),
    *("Decision", "last_decision", "add_decision_listener", "remove_decision_listener", "observe_decisions"),
    *("executors", "futures", "config", "errors", "debug", "execution", "kernels", "parallel"),
    *("actors", "aio", "compat", "pipelines", "testing", "viz", "to_interpreter", "to_process", "to_thread"),
}
# The command, which is no library, and `python -m weft`.
NOT_FOR_IMPORT = {"weft.cli", "weft.__main__"}
if sys.version_info < (3, 14):  # which has no module that this one could stand for
    NOT_FOR_IMPORT.add("weft.compat.concurrent.futures.interpreter")


def public_modules() -> list[str]:
    """Modules and packages without an underscore in their name, however deep."""
    found = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "weft.", onerror=lambda _: None)]
    return [
        name
        for name in found
        if not any(part.startswith("_") for part in name.split(".")[1:])
        and not any(name == other or name.startswith(f"{other}.") for other in NOT_FOR_IMPORT)
    ]


def in_a_new_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout


def test_the_top_level_is_that_of_the_contract() -> None:
    assert set(weft.__all__) == TOP_LEVEL
    assert list(weft.__all__) == sorted(weft.__all__)
    assert {*TOP_LEVEL, "__version__"} <= set(dir(weft))


@pytest.mark.parametrize("name", sorted(TOP_LEVEL))
def test_every_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(weft, name)
    assert inspect.getdoc(value)
    assert weft.__dict__[name] is value  # the next look-up is an ordinary one


@pytest.mark.parametrize("module", public_modules())
def test_all_of_each_public_module_is_there(module: str) -> None:
    public = importlib.import_module(module)
    for name in getattr(public, "__all__", ()):
        assert getattr(public, name) is not None, f"{module}.{name}"


def test_each_public_name_is_public_in_exactly_one_place() -> None:
    """One public module is its home; the top level has shortcuts to the same objects, and homes of its own."""
    homes: dict[str, list[str]] = {}
    for module in public_modules():
        if module.startswith("weft.compat."):  # all of whose names are those of other modules
            continue
        for name in getattr(importlib.import_module(module), "__all__", ()):
            # An algorithm's async twin bears the algorithm's name, as `asyncio.sleep` does that of `time.sleep`.
            if module != "weft.aio" or name not in weft.parallel.__all__:
                homes.setdefault(name, []).append(module)
    # A package shows what its own modules define; those count as the package's then.
    twice = {
        name: modules
        for name, modules in homes.items()
        if len({module for module in modules if not any(module.startswith(f"{other}.") for other in modules)}) > 1
    }
    # Of each algorithm there are two, by the same name: the plain one and the one that is awaited.
    twins = {name for name, modules in twice.items() if sorted(modules) == ["weft.aio", "weft.parallel"]}
    assert twice.keys() - twins == set()
    for name in TOP_LEVEL & homes.keys():
        assert getattr(weft, name) is getattr(importlib.import_module(homes[name][0]), name)


def test_the_lazy_names_and_those_for_type_checkers_are_the_same() -> None:
    """`__init__` says each name three times: for checkers, for `import *`, and for `__getattr__`."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        (alias.name if node.module == "weft" else f"{node.module}.{alias.name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weft")
        for alias in node.names
    }
    lazy = {f"{home}.{name}" for name, home in weft._HOMES.items()} | weft._SUBMODULES  # type: ignore[attr-defined]
    assert typed == lazy
    assert {name.rpartition(".")[2] for name in typed} == TOP_LEVEL


def test_an_unknown_name_is_an_attribute_error_that_helps() -> None:
    with pytest.raises(AttributeError, match="module 'weft' has no attribute 'Rum'") as caught:
        weft.Rum  # type: ignore[attr-defined]  # noqa: B018
    assert caught.value.name == "Rum"
    assert caught.value.obj is weft  # from which the interpreter makes "Did you mean: 'Run'?"


def test_version_is_that_of_the_project() -> None:
    try:
        installed = importlib.metadata.version("weft")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("weft is on the path, but not installed")
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    assert weft.__version__ == installed
    assert f'version = "{installed}"' in pyproject.read_text(encoding="utf-8")


def test_star_import() -> None:
    assert in_a_new_python("from weft import *; print(Run.__name__, executors.__name__)") == "Run weft.executors\n"


# ---- invariant 10 ----------------------------------------------------------------------------------------


def modules_loaded_by(statement: str) -> set[str]:
    """What a statement imports in a fresh interpreter, beyond what that had loaded."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    return set(in_a_new_python(code).split())


@pytest.mark.invariant(10)
def test_import_weft_loads_nothing_else() -> None:
    assert modules_loaded_by("import weft") == {"weft"}


HEAVY = {"asyncio", "multiprocessing", "subprocess", "socket", "ssl", "email", "http", "importlib.metadata", "typing"}
EXTRAS = {
    "cloudpickle",
    "anyio",
    "rich",
    "dask",
    "distributed",
    "ray",
    "daft",
    "pyspark",
    "modal",
    "graphviz",
    "numpy",
    "trio",
    "joblib",
    "redis",
    "fsspec",
}


@pytest.mark.invariant(10)
@pytest.mark.parametrize("name", sorted(TOP_LEVEL))
def test_no_name_loads_asyncio_or_an_extra(name: str) -> None:
    loaded = modules_loaded_by(f"import weft; weft.{name}")
    assert not loaded & EXTRAS
    assert not loaded & (HEAVY - {"typing"})


@pytest.mark.invariant(10)
def test_a_run_on_threads_loads_neither_asyncio_nor_multiprocessing() -> None:
    loaded = modules_loaded_by("import weft\nwith weft.Run() as executor: executor.submit(pow, 2, 3).result()\n0")
    assert not loaded & (EXTRAS | HEAVY - {"typing"})


@pytest.mark.invariant(10)
def test_import_weft_starts_no_thread_and_reads_no_setting() -> None:
    environment = {**os.environ, "WEFT_MAX_WORKERS": "not a number"}
    code = "import weft, threading; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=50, check=True)


# ---- reset -------------------------------------------------------------------------------------------------


def test_reset_gives_a_new_default_pool_and_keeps_what_the_program_set() -> None:
    with weft.Run(flavor="none") as before:
        pass
    weft.set_default_config(config := weft.RuntimeConfig(max_workers=2))
    try:
        weft.reset()
        assert weft.last_decision() is None
        assert weft.get_default_config() is config
        with pytest.raises(RuntimeError, match="after shutdown"):
            before.submit(print)
        with weft.Run(flavor="none") as after:
            assert after is not before
            assert after.submit(pow, 2, 3).result() == 8
        assert weft.async_(pow, 2, 4).result() == 16
    finally:
        weft.set_default_config(None)


def test_reset_before_anything_is_used_loads_nothing() -> None:
    assert modules_loaded_by("import weft; weft.reset()") == {"weft", "weft._reset"}


def test_reset_twice() -> None:
    weft.reset()
    weft.reset()


@pytest.mark.parametrize("name", ["weft.pipelines._calling:_timekeeper", "weft.actors._spawn:default_method"])
def test_reset_by_another_thread_takes_nothing_from_who_has_just_found_it(name: str) -> None:
    module, _, function = name.partition(":")
    asked: Any = importlib.import_module(module)
    ask = getattr(asked, function)
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if frame.f_code is not ask.__code__:
            return None
        lines += event == "line"
        if lines > 1:  # as if it came here
            asked.forget()
        return trace

    if function == "default_method":
        asked.try_set_start_method("thread")
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = ask()
    finally:
        sys.settrace(before)
        asked.forget()
    assert lines > 1
    assert found is not None
