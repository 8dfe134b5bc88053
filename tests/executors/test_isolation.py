"""Modules that interpreters of their own cannot import: named before the run, and in the task's error."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.executors.child import wait_until
from tests.executors.flavors import PATIENCE
from tests.executors.test_remote import KINDS
from weft.errors import FlavorUnavailable, InvalidSetting, PayloadError
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor
from weft.executors._isolation import try_in_scratch_interpreter

needs_interpreters = pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters need 3.14")


@needs_interpreters
def test_numpy_is_refused_before_the_run() -> None:
    pytest.importorskip("numpy")
    with pytest.raises(FlavorUnavailable, match=r"module 'numpy' .* numpy\._core\._multiarray_umath .*processes"):
        InterpreterPoolExecutor(1, preload=["json", "numpy"])


@needs_interpreters
def test_what_imports_numpy_is_refused_with_the_extension_s_name() -> None:
    pytest.importorskip("numpy")
    with pytest.raises(FlavorUnavailable, match=r"'tests\.executors\.seeded_numpy_tasks' .* numpy\._core"):
        InterpreterPoolExecutor(1, preload=["tests.executors.seeded_numpy_tasks"])


@needs_interpreters
def test_a_task_that_needs_numpy_says_so() -> None:
    pytest.importorskip("numpy")
    from tests.executors import seeded_numpy_tasks

    with InterpreterPoolExecutor(1) as pool:
        error = pool.submit(seeded_numpy_tasks.roll, 1).exception(PATIENCE)
        assert isinstance(error, PayloadError)
        assert "function tests.executors.seeded_numpy_tasks.roll" in str(error)
        assert "numpy._core._multiarray_umath does not support interpreters" in str(error)
        assert "\n" not in str(error)
        assert pool.submit(abs, -3).result(PATIENCE) == 3


@needs_interpreters
def test_processes_have_no_such_trouble() -> None:
    pytest.importorskip("numpy")
    with ProcessPoolExecutor(1, preload=["numpy"]) as pool:
        assert pool.submit(abs, -3).result(PATIENCE) == 3


@needs_interpreters
def test_nothing_is_left_of_the_probe() -> None:
    from concurrent import interpreters

    before = len(interpreters.list_all())
    InterpreterPoolExecutor(1, preload=["json.decoder"]).shutdown()
    wait_until(lambda: len(interpreters.list_all()) <= before + 1, "there is at most a spare more")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_module_that_is_not_there(kind: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidSetting, match="no module 'no_such_module'"):
        KINDS[kind](1, preload=["no_such_module.part"])
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_module_that_raises_is_the_workers_affair(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "raises_when_imported.py").write_text("raise LookupError('not today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pool: Any = KINDS[kind](1, preload=["raises_when_imported"])
    with pool, pytest.raises(Exception, match="not today"):
        pool.submit(abs, -3).result(PATIENCE)


@needs_interpreters
def test_what_refuses_is_named_with_the_modules_that_lead_to_it() -> None:
    pytest.importorskip("numpy")
    fine, numpy, missing = "json", "tests.executors.seeded_numpy_tasks", "no_such_module"
    first, second = try_in_scratch_interpreter([fine, numpy, missing])
    assert (first.module, first.extension) == (numpy, "numpy._core._multiarray_umath")
    assert first.chain[:2] == (numpy, "numpy")
    assert (second.module, second.extension) == (missing, None)
    assert second.error == "ModuleNotFoundError: No module named 'no_such_module'"


@needs_interpreters
def test_a_function_that_needs_what_refuses() -> None:
    pytest.importorskip("numpy")
    assert try_in_scratch_interpreter((), b"json:dumps") == []
    (problem,) = try_in_scratch_interpreter((), b"tests.executors.seeded_numpy_tasks:roll")
    assert problem.extension == "numpy._core._multiarray_umath"
