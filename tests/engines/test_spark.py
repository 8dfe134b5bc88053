"""What is Spark's own: jobs of many calls, workers that die, masters that are not there."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.engines import tasks
from tests.engines.conftest import Engines
from tests.engines.makers import of_engine
from weft import RuntimeConfig
from weft.errors import InvalidSetting, MissingDependency, WorkerCrashed
from weft.executors import SparkExecutor
from weft.pipelines import Pipeline, RemoteBackend

pytestmark = [
    of_engine("spark"),
    pytest.mark.deadline(180),
    pytest.mark.leaves_threads("those of PySpark's gateway"),
]
PATIENCE = 60


@pytest.fixture
def executor(engines: Engines) -> Any:
    return engines.executor("spark")


def test_calls_that_wait_go_into_one_job(executor: SparkExecutor, tmp_path: Path) -> None:
    """A job takes some fifty milliseconds: one for each call would take a minute."""
    tracker = executor._context.statusTracker()
    began = time.monotonic()
    futures = [executor.submit(pow, n, 2) for n in range(1000)]
    assert [future.result(PATIENCE) for future in futures] == [n * n for n in range(1000)]
    assert time.monotonic() - began < 30
    assert not tracker.getActiveJobsIds()


def test_a_job_nobody_waits_for_is_cancelled(executor: SparkExecutor, tmp_path: Path) -> None:
    future = executor.submit(tasks.touch_and_wait, str(tmp_path / "begun"), "never")
    tasks.until_there(str(tmp_path / "begun"))
    assert future.cancel()
    end = time.monotonic() + 20
    while executor._context.statusTracker().getActiveJobsIds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_is_killed_in_the_middle_costs_no_other_result(executor: SparkExecutor, tmp_path: Path) -> None:
    with pytest.raises(WorkerCrashed, match="task 'die' was not run to its end by Spark"):
        executor.submit(tasks.die).result(PATIENCE)
    blocker = [executor.submit(tasks.until_there, str(tmp_path / "go")) for _ in range(2)]
    futures = [executor.submit(pow, n, 2) for n in range(5)]  # these three kinds wait, and so go together
    killer = executor.submit(tasks.die)
    once = executor.submit(tasks.die_once, str(tmp_path / "died"))
    (tmp_path / "go").touch()
    assert all(future.result(PATIENCE) >= 0 for future in blocker)
    assert isinstance(killer.exception(PATIENCE), WorkerCrashed)
    assert [future.result(PATIENCE) for future in futures] == [n * n for n in range(5)]
    assert isinstance(once.exception(PATIENCE), WorkerCrashed | type(None))


def test_a_worker_killed_from_outside(executor: SparkExecutor, tmp_path: Path) -> None:
    def wait(path: str) -> None:
        Path(path, f"{os.getpid()}.pid").touch()
        tasks.until_there(str(Path(path, "never")))

    future = executor.submit(wait, str(tmp_path))
    end = time.monotonic() + PATIENCE
    while not (found := [*tmp_path.glob("*.pid")]):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(int(found[0].stem), signal.SIGKILL)
    assert isinstance(future.exception(PATIENCE), WorkerCrashed)
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_the_session_is_left_running(executor: SparkExecutor) -> None:
    with SparkExecutor(executor._session) as other:
        assert other.submit(pow, 2, 3).result(PATIENCE) == 8
        assert other.max_workers == 2
    assert executor.submit(pow, 2, 4).result(PATIENCE) == 16


def test_the_backend(executor: SparkExecutor) -> None:
    config = RuntimeConfig(backend=RemoteBackend("spark", "local[2]"))
    assert tasks.diamond.run(x=1, output_name="both", config=config) == {"both": (2, 3)}
    assert Pipeline([tasks.left]).map({"x": [1, 2]}, map_over="x", config=config) == [{"left": 2}, {"left": 3}]
    assert RemoteBackend.from_url("spark://10.0.0.1:7077").address == "spark://10.0.0.1:7077"
    assert RemoteBackend.from_url("spark://local[2]").address == "local[2]"


def test_a_master_that_is_not_there_is_told_within_ten_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(InvalidSetting, match=r"spark://127.0.0.1:1.*no Spark master answers there"):
        SparkExecutor("spark://127.0.0.1:1")
    assert time.monotonic() - began < 10


def test_wrong_arguments() -> None:
    for wrong in (None, 3, ""):
        with pytest.raises(InvalidSetting, match="session_or_master.*SparkSession"):
            SparkExecutor(wrong)


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingDependency, match=r'pyspark is not installed; run: pip install "weft\[spark\]"'):
        SparkExecutor("local[2]")
