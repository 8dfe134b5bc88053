"""What is Daft's own: plans of many calls, in threads or in processes."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.engines import tasks
from tests.engines.makers import long, of_engine
from weft.errors import InvalidSetting, MissingDependency
from weft.executors import DaftExecutor

pytestmark = [
    pytest.mark.skipif(find_spec("daft") is None, reason="needs daft"),  # not imported before its turn
    of_engine("daft"),
    pytest.mark.deadline(120),
    pytest.mark.leaves_threads("those of Daft's runner"),
]


def test_calls_of_a_plan_run_side_by_side(tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    with DaftExecutor(2) as executor:
        assert all(seconds >= 0 for seconds in executor.map(tasks.touch_and_wait, [a, b], [b, a], chunksize=1))


IN_PROCESSES = """
import os
import pytest
from tests.engines import tasks
from weft import RuntimeConfig
from weft.errors import WorkerCrashed
from weft.executors import DaftExecutor

with DaftExecutor(2, use_process=True) as executor:
    assert executor.submit(tasks.pid).result(60) != os.getpid()
    results = tasks.diamond.map({"x": [1, 2]}, map_over="x", config=RuntimeConfig(executor=executor))
    assert [one["both"] for one in results] == [(2, 3), (3, 4)]
    with pytest.raises(WorkerCrashed, match="task 'die' was not run to its end by Daft"):
        executor.submit(tasks.die).result(60)
    assert executor.submit(pow, 2, 3).result(60) == 8
"""


@long
def test_processes() -> None:
    """In a program of its own, as Daft leaves the pipes of its processes to the collector, which warns."""
    command = [sys.executable, "-c", IN_PROCESSES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=100)
    assert done.returncode == 0, done.stderr


def test_wrong_arguments() -> None:
    with pytest.raises(InvalidSetting, match="max_workers"):
        DaftExecutor(0)
    with pytest.raises(InvalidSetting, match="use_process"):
        DaftExecutor(use_process=1)


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "daft", None)
    with pytest.raises(MissingDependency, match=r'daft is not installed; run: pip install "weft\[daft\]"'):
        DaftExecutor()
