"""Where nodes and items run: side by side, in other interpreters and processes, on executors of whoever made them."""

import concurrent.futures
import os
import threading
import time
from typing import Any

import pytest

from tests.pipelines import graphs
from tests.pipelines.conftest import SPAWNED, Places
from weft import RuntimeConfig
from weft.errors import InvalidSetting, PayloadError, PipelineError
from weft.executors import ProcessPoolExecutor, ThreadPoolExecutor
from weft.pipelines import (
    AsyncExecutor,
    CompositeExecutor,
    LocalBackend,
    MemoryCache,
    Pipeline,
    PipelineExecutionEngine,
    RunContext,
    SequentialExecutor,
    node,
)

PATIENCE = 20


def meeting(parties: int) -> Any:
    """A function that returns once so many are in it at a time."""
    barrier = threading.Barrier(parties)
    return lambda *args: barrier.wait(PATIENCE) >= 0


def test_independent_nodes_run_side_by_side() -> None:
    meet = meeting(3)
    made = [node(output_name=name)(lambda x: meet()).with_name(name) for name in "abc"]
    with ThreadPoolExecutor(3) as pool:
        result = Pipeline(made).run(x=1, config=RuntimeConfig(executor=pool))
    assert result == {"a": True, "b": True, "c": True}


@pytest.mark.parametrize("mapped", [False, True])
def test_a_task_runs_a_pipeline_on_its_own_pool(mapped: bool) -> None:
    """Whose only thread waits for the steps: like one that waits for a future, it gets company meanwhile."""
    pipeline = Pipeline([node(output_name="y")(lambda x: x + 1)], name="inner")
    if mapped:
        pipeline = Pipeline([pipeline.as_node(map_over="x")])
    with ThreadPoolExecutor(1) as pool:
        config = RuntimeConfig(executor=pool)
        future = pool.submit(pipeline.run, x=[1, 2] if mapped else 1, config=config)
        assert future.result(PATIENCE) == {"y": [2, 3] if mapped else 2}


def test_a_node_runs_a_pipeline_where_it_runs_itself() -> None:
    config = RuntimeConfig(flavor="threads", max_workers=1)
    inner = Pipeline([node(output_name="y")(lambda x: x + 1)])
    outer = Pipeline([node(output_name="z")(lambda x: inner.run(x=x, config=config)["y"])])
    assert outer.map({"x": [1, 2]}, map_over="x", config=config) == [{"z": 2}, {"z": 3}]


def test_items_run_side_by_side() -> None:
    meet = meeting(2)
    with ThreadPoolExecutor(2) as pool:
        config = RuntimeConfig(executor=pool)
        results = Pipeline([node(output_name="a")(lambda x: meet())]).map({"x": range(6)}, map_over="x", config=config)
    assert results == [{"a": True}] * 6


def test_items_of_a_nested_map_run_side_by_side() -> None:
    meet = meeting(2)
    inner = Pipeline([node(output_name="a")(lambda x: meet())], name="inner").as_node(map_over="x")
    with ThreadPoolExecutor(2) as pool:
        assert Pipeline([inner]).run(x=[1, 2], config=RuntimeConfig(executor=pool)) == {"a": [True, True]}


def test_a_composite_runs_items_and_their_nodes_side_by_side() -> None:
    meet = meeting(4)
    made = [node(output_name=name)(lambda x: meet()).with_name(name) for name in "ab"]
    with ThreadPoolExecutor(2) as items, ThreadPoolExecutor(4) as nodes:
        both = CompositeExecutor(map_executor=items, node_executor=nodes)
        results = Pipeline(made).map({"x": [1, 2]}, map_over="x", config=RuntimeConfig(executor=both))
        assert results == [{"a": True, "b": True}] * 2
        assert Pipeline([graphs.where]).run(x=1, config=RuntimeConfig(executor=both)) == {"pid": os.getpid()}


def test_a_composite_of_processes_has_threads_in_each() -> None:
    with ProcessPoolExecutor(2) as items:
        both = CompositeExecutor(map_executor=items, node_executor=RuntimeConfig(flavor="threads", max_workers=2))
        results = graphs.words.map({"text": graphs.TEXTS}, map_over="text", config=RuntimeConfig(executor=both))
        pids = Pipeline([graphs.where]).map({"x": range(4)}, map_over="x", config=RuntimeConfig(executor=both))
    assert results == graphs.words.map({"text": graphs.TEXTS}, map_over="text")
    assert os.getpid() not in {one["pid"] for one in pids}


def test_a_composite_refuses_an_executor_that_cannot_go_along() -> None:
    with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1) as processes:
        with pytest.raises(InvalidSetting, match=r"give a RuntimeConfig\(flavor=...\) for it"):
            CompositeExecutor(map_executor=processes, node_executor=threads)
        with pytest.raises(InvalidSetting, match="not one that brings it"):
            CompositeExecutor(map_executor=processes, node_executor=RuntimeConfig(executor=threads))
        with pytest.raises(InvalidSetting, match="map_executor"):
            CompositeExecutor(map_executor=None, node_executor=threads)


@pytest.mark.leaves_threads("the executors of the module's fixture")
@pytest.mark.parametrize("kind", ["processes", "stdlib-processes"])
def test_nodes_and_items_really_are_elsewhere(places: Places, kind: str) -> None:
    config = places.config(kind)
    assert Pipeline([graphs.where]).run(x=1, config=config)["pid"] != os.getpid()
    assert Pipeline([graphs.where]).map({"x": [1]}, map_over="x", config=config)[0]["pid"] != os.getpid()


def test_a_node_has_its_own_place() -> None:
    with ProcessPoolExecutor(1) as pool:
        far = graphs.where.with_config(RuntimeConfig(executor=pool))
        near = node(output_name="here")(lambda x: os.getpid()).with_name("near")
        pipeline = Pipeline([far, near])
        result = pipeline.run(x=1)
        assert (result["here"], result["pid"] != os.getpid()) == (os.getpid(), True)
        for one in pipeline.map({"x": range(3)}, map_over="x"):
            assert (one["here"], one["pid"]) == (os.getpid(), result["pid"])
        inner = Pipeline([far], name="inner").as_node(map_over="x")
        assert Pipeline([inner]).run(x=[1, 2])["pid"] == [result["pid"]] * 2
        nested = Pipeline([graphs.where], name="inner", config=RuntimeConfig(executor=pool))
        assert Pipeline([nested, near]).run(x=1) == {"pid": result["pid"], "here": os.getpid()}
        assert pipeline.run(x=1, config=RuntimeConfig())["pid"] == os.getpid()  # the call's counts for all


def test_a_flavor_makes_workers_for_the_call_and_ends_them() -> None:
    pipeline = Pipeline([graphs.where])
    assert pipeline.run(x=1, config=RuntimeConfig(flavor="processes", max_workers=1))["pid"] != os.getpid()
    name = node(output_name="name")(lambda x: threading.current_thread().name)
    assert Pipeline([name]).run(x=1, config=RuntimeConfig(flavor="threads"))["name"] != threading.current_thread().name
    assert Pipeline([name]).run(x=1, config=RuntimeConfig(flavor="serial"))["name"] == threading.current_thread().name
    assert Pipeline([name]).run(x=1, config=RuntimeConfig())["name"] == threading.current_thread().name


def test_it_runs_in_the_caller_where_nothing_is_said() -> None:
    name = Pipeline([node(output_name="name")(lambda x: threading.current_thread().name)])
    for config in (None, RuntimeConfig(executor=SequentialExecutor()), RuntimeConfig(backend=LocalBackend())):
        assert name.run(x=1, config=config)["name"] == threading.current_thread().name
        assert name.map({"x": [1]}, map_over="x", config=config)[0]["name"] == threading.current_thread().name


def test_what_cannot_be_sent_is_refused_with_the_name_of_the_node() -> None:
    lock = threading.Lock()
    pipeline = Pipeline([node(output_name="y")(lambda x: lock).with_name("locked")])
    with ProcessPoolExecutor(1) as pool:
        config = RuntimeConfig(executor=pool)
        for call in (
            lambda: pipeline.run(x=1, config=config),
            lambda: pipeline.map({"x": [1]}, map_over="x", config=config),
        ):
            with pytest.raises(Exception, match="node 'locked'") as caught:
                call()
            assert isinstance(caught.value, PayloadError | ImportError | PipelineError)


def test_an_argument_that_cannot_be_sent_is_the_failure_of_its_node() -> None:
    with ProcessPoolExecutor(1) as pool, pytest.raises(PipelineError) as caught:
        Pipeline([graphs.invert]).run(x=threading.Lock(), config=RuntimeConfig(executor=pool))
    assert isinstance(caught.value.__cause__, PayloadError)
    assert caught.value.node == "invert"


@pytest.mark.leaves_threads("the executors of the module's fixture")
def test_errors_arrive_with_node_item_and_inputs_and_the_cause(places: Places, kind: str) -> None:
    pipeline = Pipeline([graphs.invert, graphs.double], name="ratio")
    config = places.config(kind)
    with pytest.raises(PipelineError) as caught:
        pipeline.map({"x": [1, 2, 0, 4, 0]}, map_over="x", config=config)
    error = caught.value
    assert (error.node, error.item, error.inputs) == ("invert", 2, {"x": "0"})
    assert type(error.__cause__) is ZeroDivisionError
    outcomes = pipeline.map({"x": [1, 0, 2]}, map_over="x", config=config, return_exceptions=True)
    assert [getattr(one, "item", None) for one in outcomes] == [None, 1, None]
    with pytest.raises(PipelineError) as caught:
        pipeline.run(x=0, config=config)
    assert (caught.value.node, type(caught.value.__cause__)) == ("invert", ZeroDivisionError)


def test_the_first_failure_in_order_counts_though_another_one_comes_first() -> None:
    second_failed = threading.Event()

    def first(x):
        assert second_failed.wait(PATIENCE)
        raise KeyError("first")

    def second(x):
        second_failed.set()
        raise KeyError("second")

    pipeline = Pipeline([node(output_name="a")(first), node(output_name="b")(second)])
    with ThreadPoolExecutor(2) as pool, pytest.raises(PipelineError) as caught:
        pipeline.run(x=1, config=RuntimeConfig(executor=pool))
    assert caught.value.node == "first"


def test_what_comes_after_a_failure_is_stopped() -> None:
    """Once: what it does at its end, it does to the end."""
    begun, ended = threading.Event(), threading.Event()

    def fails(x):
        assert begun.wait(PATIENCE)
        raise KeyError

    def goes_on(x):
        try:
            begun.set()
            graphs.spin(x)
        finally:
            time.sleep(0.05)
            ended.set()

    pipeline = Pipeline([node(output_name="a")(fails), node(output_name="b")(goes_on)])
    with ThreadPoolExecutor(2) as pool, pytest.raises(PipelineError):
        pipeline.run(x=1, config=RuntimeConfig(executor=pool))
    assert ended.wait(PATIENCE)


def test_imap_reads_no_further_ahead_than_it_may() -> None:
    read: list[int] = []

    def numbers():
        for number in range(10_000):
            read.append(number)
            yield number

    pipeline = Pipeline([node(output_name="y")(graphs.add_one)])
    with ThreadPoolExecutor(2) as pool:
        results = pipeline.imap({"x": numbers()}, map_over="x", buffersize=10, config=RuntimeConfig(executor=pool))
        for number in range(100):
            assert next(results) == {"y": number + 1}
            assert len(read) <= number + 1 + 10
        results.close()


def test_closing_imap_stops_what_runs() -> None:
    began, ended = threading.Event(), threading.Event()

    def spins(x):
        try:
            began.set()
            graphs.spin(x)
        finally:
            ended.set()

    pipeline = Pipeline([node(output_name="y")(lambda x: spins(x) if x else x)])
    with ThreadPoolExecutor(1) as pool:
        results = pipeline.imap({"x": iter([0, 1, 2])}, map_over="x", config=RuntimeConfig(executor=pool))
        assert next(results) == {"y": 0}
        assert began.wait(PATIENCE)
        results.close()
        assert ended.wait(PATIENCE)


def test_a_shut_down_executor_says_so() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        graphs.words.run(text="a", config=RuntimeConfig(executor=pool))


def test_a_dead_worker_is_the_failure_of_its_node() -> None:
    kill = Pipeline([node(output_name="y")(os._exit).with_name("dies")])
    with concurrent.futures.ProcessPoolExecutor(1, **SPAWNED) as pool, pytest.raises(PipelineError) as caught:
        kill.run(status=3, config=RuntimeConfig(executor=pool))
    assert isinstance(caught.value.__cause__, concurrent.futures.BrokenExecutor)
    assert caught.value.node == "dies"
    with ProcessPoolExecutor(1) as pool:
        config = RuntimeConfig(executor=pool, retries=1)
        with pytest.raises(PipelineError) as caught:
            kill.run(status=3, config=config)
        assert caught.value.attempts == 2
        assert Pipeline([graphs.where]).run(x=1, config=config)["pid"]


def test_a_memory_cache_is_used_though_workers_do_not_share_it() -> None:
    cache = MemoryCache()
    pipeline = Pipeline([graphs.where])
    with ProcessPoolExecutor(2) as pool:
        config = RuntimeConfig(executor=pool, cache=cache)
        first = pipeline.map({"x": range(10)}, map_over="x", config=config)
        assert (cache.stats.hits, cache.stats.stored) == (0, 10)
        assert pipeline.map({"x": range(10)}, map_over="x", config=config) == first
        assert cache.stats.hits == 10
        assert pipeline.run(x=3, config=config) == first[3]


class Whole(ThreadPoolExecutor):
    """An executor that takes pipelines whole, as those of clusters do."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[Any] = []

    def run_pipeline(self, pipeline: Pipeline, inputs: dict, ctx: RunContext, output_name: tuple[str, ...]) -> dict:
        self.asked.append(("run", pipeline.name, inputs, output_name))
        return PipelineExecutionEngine(None).run_pipeline(pipeline, inputs, ctx, output_name)

    def map_items(self, pipeline: Pipeline, items, inputs: dict, ctx: RunContext, output_name: tuple[str, ...]):
        items = list(items)
        self.asked.append(("map", ctx.map_over, items, inputs))
        return PipelineExecutionEngine(None).map_items(pipeline, iter(items), inputs, ctx, output_name)


def test_an_executor_may_take_the_graph_whole() -> None:
    with Whole() as pool:
        config = RuntimeConfig(executor=pool)
        assert graphs.words.run(text="a b", output_name="count", config=config) == {"count": 2}
        assert graphs.words.map({"text": ["a"], "least": 2}, map_over="text", output_name="count", config=config) == [
            {"count": 0}
        ]
        assert pool.asked == [
            ("run", "words", {"text": "a b"}, ("count",)),
            ("map", ("text",), [("a",)], {"least": 2}),
        ]


def test_the_engine_refuses_what_is_no_executor() -> None:
    with pytest.raises(InvalidSetting, match="executor=3"):
        PipelineExecutionEngine(3)


# ---- AsyncExecutor ---------------------------------------------------------------------------------------


def test_an_async_executor_runs_coroutines_side_by_side_on_one_loop() -> None:
    import asyncio

    together = []

    async def meets(x):
        together.append(asyncio.get_running_loop())
        while len(together) < 3:
            await asyncio.sleep(0)
        return x

    made = [node(output_name=name)(meets).with_name(name) for name in "abc"]
    with AsyncExecutor(1) as pool:
        assert Pipeline(made).run(x=1, config=RuntimeConfig(executor=pool)) == {"a": 1, "b": 1, "c": 1}
    assert len({*together}) == 1


def test_an_async_executor_bounds_how_many_are_under_way() -> None:
    import asyncio

    most, now = 0, 0

    async def counted(x):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    with AsyncExecutor(max_concurrency=3) as pool:
        concurrent.futures.wait([pool.submit(counted, x) for x in range(20)])
    assert most <= 3


def test_an_async_executor_shuts_down() -> None:
    import asyncio

    async def forever():
        await asyncio.Event().wait()

    pool = AsyncExecutor()
    future = pool.submit(forever)
    pool.shutdown(cancel_futures=True)
    assert future.cancelled()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(forever)
    pool = AsyncExecutor()
    assert pool.submit(time.monotonic).result() > 0
    future = pool.submit(asyncio.sleep, 0, 42)
    pool.shutdown(wait=False)
    assert future.result(PATIENCE) == 42


def test_an_async_executor_is_shut_down_any_number_of_times() -> None:
    import asyncio

    pool = AsyncExecutor()
    assert pool.submit(asyncio.sleep, 0, 42).result(PATIENCE) == 42
    loop: Any = pool._loop
    close, closed, release = loop.close, threading.Event(), threading.Event()

    def close_slowly() -> None:
        close()
        closed.set()
        release.wait(PATIENCE)

    loop.close = close_slowly
    with pool:
        pool.shutdown(wait=False)
        assert closed.wait(PATIENCE)
        pool.shutdown(wait=False)  # its thread is still there
        release.set()
    pool.shutdown(wait=False)
    pool.shutdown(cancel_futures=True)


def test_an_async_executor_does_what_was_submitted_before_its_loop_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    run, is_shut_down = AsyncExecutor._run, threading.Event()

    def run_late(*args) -> None:
        is_shut_down.wait(PATIENCE)
        run(*args)

    monkeypatch.setattr(AsyncExecutor, "_run", run_late)
    pool = AsyncExecutor()
    futures = [pool.submit(asyncio.sleep, 0, number) for number in range(3)]
    pool.shutdown(wait=False)
    is_shut_down.set()
    assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]
    pool.shutdown()


@pytest.mark.parametrize("wait", [True, False])
def test_a_cancelled_coroutine_ends_before_its_loop_does(wait: bool) -> None:
    import asyncio

    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    async def tidies_up():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            while not may_end.is_set():
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            ended.set()

    pool = AsyncExecutor()
    future = pool.submit(tidies_up)
    assert began.wait(PATIENCE)
    if wait:
        may_end.set()
    pool.shutdown(wait, cancel_futures=True)
    assert future.cancelled()
    may_end.set()
    assert concurrent.futures.wait([future], PATIENCE).done
    assert ended.is_set()
    pool.shutdown()


def test_what_a_coroutine_leaves_running_is_cancelled() -> None:
    import asyncio

    cancelled = threading.Event()
    kept: list[asyncio.Task[None]] = []

    async def stays():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def leaves():
        kept.append(asyncio.create_task(stays()))
        await asyncio.sleep(0)
        return 42

    with AsyncExecutor() as pool:
        assert pool.submit(leaves).result(PATIENCE) == 42
    assert cancelled.is_set()
