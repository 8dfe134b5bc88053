"""What is Ray's own: resources of nodes, workers that die, clusters that are not there."""

import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.engines import tasks
from tests.engines.conftest import Engines
from tests.engines.makers import of_engine
from weft import RuntimeConfig
from weft.errors import InvalidSetting, MissingDependency, WorkerCrashed
from weft.executors import RayExecutor
from weft.pipelines import Pipeline, RemoteBackend, node

pytestmark = [
    of_engine("ray"),
    pytest.mark.deadline(180),
    pytest.mark.leaves_threads("those of Ray's client"),
]
PATIENCE = 60


@pytest.fixture
def executor(engines: Engines) -> Any:
    return engines.executor("ray")


def cpus() -> float:
    ray: Any = import_module("ray")
    return ray.get_runtime_context().get_assigned_resources().get("CPU", 0.0)


def test_what_a_task_takes(executor: RayExecutor) -> None:
    assert executor.max_workers == 2
    assert executor.submit(cpus).result(PATIENCE) == 1
    both = executor.options(num_cpus=2)
    assert both.max_workers == 1
    assert both.submit(cpus).result(PATIENCE) == 2
    assert RayExecutor(executor.address, num_cpus=0.5).submit(cpus).result(PATIENCE) == 0.5


def test_what_a_node_takes(executor: RayExecutor) -> None:
    one = node(output_name="one")(lambda x: (x, cpus())).with_name("one")
    two = node(output_name="two")(lambda one: (*one, cpus())).with_name("two")
    two = two.with_config(RuntimeConfig(executor=executor.options(num_cpus=2)))
    pipeline = Pipeline([one, two], config=RuntimeConfig(executor=executor))
    assert pipeline.run(x=0, output_name="two") == {"two": (0, 1, 2)}


def test_more_than_there_is_is_refused(executor: RayExecutor) -> None:
    with pytest.raises(InvalidSetting, match="num_gpus=1 is not valid: .* has 0 GPUs"):
        executor.options(num_gpus=1)
    for wrong in (-1, True, "1"):
        with pytest.raises(InvalidSetting, match="num_cpus"):
            RayExecutor(executor.address, num_cpus=wrong)


def test_what_runs_is_interrupted_when_it_is_cancelled(executor: RayExecutor, tmp_path: Path) -> None:
    futures = [executor.submit(tasks.touch_and_wait, str(tmp_path / f"begun{n}"), "never") for n in range(2)]
    for n in range(2):
        tasks.until_there(str(tmp_path / f"begun{n}"))
    assert all(future.cancel() for future in futures)
    began = time.monotonic()
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8  # there is room again
    assert time.monotonic() - began < 20


def test_a_worker_that_is_killed_in_the_middle_costs_no_result(executor: RayExecutor, tmp_path: Path) -> None:
    def wait(number: int) -> int:
        (tmp_path / f"{os.getpid()}.pid").touch()
        tasks.touch_and_wait(str(tmp_path / f"begun{number}"), str(tmp_path / "go"))
        return number

    futures = [executor.submit(wait, number) for number in range(2)]
    for number in range(2):
        tasks.until_there(str(tmp_path / f"begun{number}"))
    os.kill(int(next(tmp_path.glob("*.pid")).stem), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert [future.result(PATIENCE) for future in futures] == [0, 1]


def test_a_node_whose_worker_dies_is_run_by_another(executor: RayExecutor, tmp_path: Path) -> None:
    pipeline = Pipeline([tasks.left, tasks.dying, node(output_name="end")(lambda left, lived: (left, lived))])
    config = RuntimeConfig(executor=executor)
    assert pipeline.run(x=1, path=str(tmp_path / "died"), output_name="end", config=config) == {"end": (2, "alive")}


def test_a_task_that_kills_each_worker_is_given_up(executor: RayExecutor) -> None:
    """Invariant 2: its future says why; others go on."""
    with pytest.raises(WorkerCrashed, match="task 'die' was not run to its end by the Ray at"):
        executor.submit(tasks.die).result(PATIENCE)
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_one_connection_for_a_process(executor: RayExecutor) -> None:
    with RayExecutor() as same:
        assert same.submit(pow, 2, 3).result(PATIENCE) == 8
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
    with pytest.raises(InvalidSetting, match=r"this process is connected to the Ray at .*: call ray.shutdown\(\)"):
        RayExecutor("127.0.0.1:1")
    with pytest.raises(InvalidSetting, match="address"):
        RayExecutor("")


def test_the_backend(executor: RayExecutor) -> None:
    config = RuntimeConfig(backend=RemoteBackend("ray", executor.address))
    assert tasks.diamond.run(x=1, output_name="both", config=config) == {"both": (2, 3)}
    assert tasks.diamond.map({"x": [1, 2]}, map_over="x", output_name="both", config=config)[1] == {"both": (3, 4)}
    assert RemoteBackend.from_url("ray://10.0.0.1:6379").address == "10.0.0.1:6379"
    assert RemoteBackend.from_url("ray://10.0.0.1:10001").address == "ray://10.0.0.1:10001"


NOT_THERE = """
import socket, sys, time
from weft.errors import InvalidSetting
from weft.executors import RayExecutor
import ray
with socket.create_server(("127.0.0.1", 0)) as silent:
    for address in ("127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}"):
        began = time.monotonic()
        try:
            RayExecutor(address)
        except InvalidSetting as error:
            assert address in str(error) and "no Ray answers there" in str(error), error
        else:
            raise AssertionError("connected")
        assert time.monotonic() - began < 10
"""


def test_a_cluster_that_is_not_there_is_told_within_ten_seconds() -> None:
    import subprocess

    subprocess.run([sys.executable, "-c", NOT_THERE], check=True, timeout=PATIENCE)


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r'ray is not installed; run: pip install "weft\[ray\]"'):
        RayExecutor()
