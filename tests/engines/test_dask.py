"""What is Dask's own: results that stay on the workers, workers that die, clusters that are not there."""

import concurrent.futures
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.engines import tasks
from tests.engines.dask_cluster import ROOT, DaskCluster
from tests.engines.makers import long, of_engine
from tests.pipelines import graphs
from weft import RuntimeConfig
from weft.errors import InvalidSetting, PipelineError, WorkerCrashed
from weft.executors import DaskExecutor
from weft.pipelines import Pipeline, PipelineCallback, RemoteBackend, node

pytestmark = [
    pytest.mark.skipif(find_spec("distributed") is None, reason="needs distributed"),  # not imported before its turn
    of_engine("dask"),
    pytest.mark.deadline(180),
    pytest.mark.leaves_threads("those of distributed's client"),
]
PATIENCE = 50


@pytest.fixture
def executor(dask_cluster: DaskCluster) -> Iterator[DaskExecutor]:
    with DaskExecutor(dask_cluster.address) as executor:
        yield executor


def test_what_goes_from_node_to_node_stays_on_the_workers(executor: DaskExecutor) -> None:
    """The result of one cannot be pickled; nor does it come here where it is not asked for."""
    pipeline = Pipeline([tasks.wrap, tasks.unwrap])
    config = RuntimeConfig(executor=executor)
    assert pipeline.run(x=7, output_name="value", config=config) == {"value": 7}
    with pytest.raises(PipelineError, match="node 'wrap' failed: PayloadError: .*this stays where it is"):
        pipeline.run(x=7, config=config)


def test_a_client_that_is_given_is_left_open(dask_cluster: DaskCluster) -> None:
    before = {*threading.enumerate()}
    with DaskExecutor(dask_cluster.client) as executor:
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
        assert executor.max_workers == len(dask_cluster.client.nthreads())
        assert dask_cluster.address in repr(executor)
    assert dask_cluster.client.status == "running"
    left = {*threading.enumerate()} - before
    assert not [one for one in left if one.name == "weft-dask-results"]


def test_independent_nodes_and_items_run_side_by_side(executor: DaskExecutor, tmp_path: Path) -> None:
    def meet(mine: str, other: str) -> Any:
        return lambda x: tasks.touch_and_wait(str(tmp_path / f"{mine}{x}"), str(tmp_path / f"{other}{x}")) >= 0

    pair = Pipeline(
        [node(output_name=name)(meet(*pair)).with_name(name) for name, pair in {"a": "ab", "b": "ba"}.items()]
    )
    assert pair.run(x=1, config=RuntimeConfig(executor=executor)) == {"a": True, "b": True}

    def pass_on(x: int) -> bool:
        (tmp_path / f"item{x}").touch()
        return tasks.until_there(str(tmp_path / f"item{1 - x}")) >= 0

    each = Pipeline([node(output_name="c")(pass_on)])
    results = each.map({"x": [0, 1]}, map_over="x", config=RuntimeConfig(executor=executor))
    assert results == [{"c": True}] * 2


def test_a_worker_that_is_killed_in_the_middle_costs_no_result(dask_cluster: DaskCluster, tmp_path: Path) -> None:
    with DaskExecutor(dask_cluster.address) as executor:
        futures = [
            executor.submit(tasks.touch_and_wait, str(tmp_path / f"begun{n}"), str(tmp_path / "go")) for n in range(2)
        ]
        done = [executor.submit(pow, n, 2) for n in range(20)]
        for n in range(2):
            tasks.until_there(str(tmp_path / f"begun{n}"))
        victim = dask_cluster.workers.pop(0)
        victim.kill()
        victim.wait()
        (tmp_path / "go").touch()
        assert all(future.result(PATIENCE) >= 0 for future in futures)
        assert [future.result(PATIENCE) for future in done] == [n * n for n in range(20)]
        dask_cluster.workers.append(dask_cluster.add_worker())
        dask_cluster.client.wait_for_workers(2, timeout=PATIENCE)


@long
def test_a_node_whose_worker_dies_is_run_by_another(dask_cluster: DaskCluster, tmp_path: Path) -> None:
    with DaskExecutor(dask_cluster.address) as executor:
        config = RuntimeConfig(executor=executor)
        pipeline = Pipeline([tasks.left, tasks.dying, node(output_name="end")(lambda left, lived: (left, lived))])
        assert pipeline.run(x=1, path=str(tmp_path / "died"), output_name="end", config=config) == {"end": (2, "alive")}
    dask_cluster.workers.append(dask_cluster.add_worker())
    dask_cluster.client.wait_for_workers(2, timeout=PATIENCE)


@long
def test_a_task_that_kills_each_worker_is_given_up(dask_cluster: DaskCluster) -> None:
    """Invariant 2: its future says why; others go on."""
    for _ in range(3):
        dask_cluster.add_worker()
    dask_cluster.client.wait_for_workers(5, timeout=PATIENCE)
    with DaskExecutor(dask_cluster.address) as executor:
        killer = executor.submit(tasks.die)
        with pytest.raises(WorkerCrashed, match=r"task 'die' was given up .* each worker that ran it died"):
            killer.result(PATIENCE)
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
    dask_cluster.add_worker()
    dask_cluster.client.wait_for_workers(2, timeout=PATIENCE)


@long
def test_a_scheduler_that_goes_away_fails_what_is_left(tmp_path: Path) -> None:
    cluster = DaskCluster(1)
    try:
        executor = DaskExecutor(cluster.address)
        future = executor.submit(tasks.touch_and_wait, str(tmp_path / "begun"), str(tmp_path / "go"))
        tasks.until_there(str(tmp_path / "begun"))
        began = time.monotonic()
        cluster.kill_scheduler()
        error = future.exception(PATIENCE + 30)
        assert isinstance(error, WorkerCrashed), error
        assert cluster.address in str(error)
        assert time.monotonic() - began < 60
        executor.shutdown()
    finally:
        (tmp_path / "go").touch()
        cluster.end()


def test_a_cluster_that_is_not_there_is_told_within_ten_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it listens, and never says a word
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(InvalidSetting, match=f"{address}.*no Dask scheduler answers there") as caught:
            DaskExecutor(address)
        assert time.monotonic() - began < 10
    assert "dask scheduler" in str(caught.value)


@long
def test_a_backend_that_is_not_there_is_told_within_ten_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(InvalidSetting, match="tcp://127.0.0.1:1.*no Dask scheduler answers there"):
        tasks.diamond.run(x=1, config=RuntimeConfig(backend=RemoteBackend("dask", "tcp://127.0.0.1:1")))
    assert time.monotonic() - began < 10


def test_wrong_arguments() -> None:
    for wrong in (None, 3, ""):
        with pytest.raises(InvalidSetting, match=r"client_or_address.*give a distributed.Client"):
            DaskExecutor(wrong)
    with pytest.raises(InvalidSetting, match="address"):
        DaskExecutor("nonsense://1:2")


def test_a_closed_client_is_refused(dask_cluster: DaskCluster) -> None:
    distributed: Any = import_module("distributed")

    client = distributed.Client(dask_cluster.address, set_as_default=False)
    with pytest.raises(InvalidSetting, match="security.*leave it out"):
        DaskExecutor(client, security=object())
    client.close()
    with pytest.raises(InvalidSetting, match="this client is closed"):
        DaskExecutor(client)


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from weft.errors import MissingDependency

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r'distributed is not installed; run: pip install "weft\[dask\]"'):
        DaskExecutor("tcp://127.0.0.1:1")


class Told(PipelineCallback):
    def __init__(self) -> None:
        self.names: list[str] = []

    def on_pipeline_start(self, pipeline: str, inputs: Any, context: Any) -> None:
        self.names.append(f"> {pipeline}")

    def on_pipeline_end(self, pipeline: str, outputs: Any, seconds: float, context: Any) -> None:
        self.names.append(f"< {pipeline} {sorted(outputs)}")


def test_the_backend(dask_cluster: DaskCluster) -> None:
    seen = Told()
    backend = RemoteBackend("dask", dask_cluster.address)
    config = RuntimeConfig(backend=backend, callbacks=(seen,))
    assert tasks.diamond.run(x=1, output_name="both", config=config) == {"both": (2, 3)}
    assert seen.names == ["> diamond", "< diamond ['both']"]
    expected = graphs.words.map({"text": graphs.TEXTS}, map_over="text")
    assert graphs.words.map({"text": graphs.TEXTS}, map_over="text", config=config) == expected
    lazily = graphs.words.imap({"text": graphs.TEXTS}, map_over="text", config=config)
    assert next(lazily) == expected[0]
    lazily.close()
    with pytest.raises(InvalidSetting, match="kind.*dask"):
        RemoteBackend("dusk", "tcp://127.0.0.1:1")
    with pytest.raises(InvalidSetting, match="address"):
        RemoteBackend("dask")


@long
def test_weft_run_on_it(dask_cluster: DaskCluster, tmp_path: Path) -> None:
    address = dask_cluster.address.replace("tcp://", "dask://")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "weft", "run", "tests.engines.tasks:diamond", "--no-progress", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE)

    done = run("--input=x=1", "--backend", address)
    assert (done.returncode, done.stdout) == (0, '{"left": 2, "right": 3, "both": [2, 3]}\n'), done.stderr
    done = run("--input=x=[1, 2]", "--map-over=x", "--output-name=both", f"--backend={address}")
    assert done.stdout.splitlines() == ['{"x": 1, "both": [2, 3]}', '{"x": 2, "both": [3, 4]}'], done.stderr
    done = run("--input=x=1", "--backend=dusk://127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give one such as dask://" in done.stderr


@long
def test_functions_of_a_script_go_by_value(dask_cluster: DaskCluster, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from weft import RuntimeConfig\n"
        "from weft.executors import DaskExecutor\n"
        "from weft.pipelines import Pipeline, node\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "def twice(point): return Point(2 * point.x)\n"
        "@node(output_name='y')\n"
        "def add(x): return twice(Point(x)).x + 1\n"
        "if __name__ == '__main__':\n"
        "    with DaskExecutor(sys.argv[1]) as executor:\n"
        "        print(executor.submit(twice, Point(3)).result().x)\n"
        "        print(Pipeline([add]).run(x=1, config=RuntimeConfig(executor=executor)))\n"
        "        print(Pipeline([add]).map({'x': [2]}, map_over='x', config=RuntimeConfig(executor=executor)))\n"
    )
    command = [sys.executable, str(script), dask_cluster.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines() == ["6", "{'y': 3}", "[{'y': 5}]"], done.stderr


def test_futures_of_the_stdlib_and_of_dask_wait_together(executor: DaskExecutor) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        futures = [threads.submit(pow, 2, 1), executor.submit(pow, 2, 2)]
        assert {one.result() for one in concurrent.futures.as_completed(futures, timeout=PATIENCE)} == {2, 4}
