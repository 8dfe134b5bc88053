"""`arun`, `amap` and `aimap`: on the caller's loop, side by side, under asyncio and under trio."""

import threading
from typing import Any

import pytest

from tests.aio.libraries import CANCELLED, PATIENCE, Library
from tests.pipelines import graphs
from weft import RuntimeConfig
from weft.aio import to_thread
from weft.errors import InvalidInputs, PipelineError, TaskTimeout
from weft.executors import ProcessPoolExecutor
from weft.pipelines import MemoryCache, Pipeline, PipelineCallback, SequentialExecutor, node


async def plus_one(x: int) -> int:
    return x + 1


MIXED = Pipeline(
    [node(output_name="waited")(plus_one), node(output_name="doubled")(lambda waited: 2 * waited)], name="mixed"
)


def meeting(library: Library, parties: int) -> Any:
    """A coroutine function that returns once so many are in it at a time."""
    there = []

    async def meet(*args: Any) -> int:
        there.append(args)
        while len(there) < parties:
            await pause(library)
        return len(there)

    return meet


async def pause(library: Library) -> None:
    await library.sleep(0.001)


def step(fn: Any, output: str, **options: Any) -> Any:
    async def run(x: Any) -> Any:
        return await fn(x)

    return node(output_name=output, name=output, **options)(run)


def test_arun_gives_what_run_gives(library: Library) -> None:
    async def main() -> None:
        assert await graphs.corpus.arun(texts=graphs.TEXTS) == graphs.corpus.run(texts=graphs.TEXTS)
        assert await graphs.corpus.arun({"texts": graphs.TEXTS}, output_name="total") == {"total": 10}

    library.run(main)


def test_independent_asynchronous_nodes_run_side_by_side(library: Library) -> None:
    meet = meeting(library, 3)
    pipeline = Pipeline([step(meet, one) for one in "abc"])

    async def main() -> None:
        assert set((await pipeline.arun(x=1)).values()) == {3}

    library.run(main)


def test_plain_nodes_do_not_keep_the_loop_waiting(library: Library) -> None:
    gate = threading.Event()

    async def opens(x: int) -> int:
        gate.set()
        return x

    waits = node(output_name="w", name="w")(lambda x: gate.wait(20))
    pipeline = Pipeline([waits, node(output_name="o")(opens)])

    async def main() -> None:
        assert await pipeline.arun(x=1) == {"w": True, "o": 1}

    library.run(main)


def test_items_run_side_by_side_and_come_in_order(library: Library) -> None:
    meet = meeting(library, 3)
    pipeline = Pipeline([step(meet, "n"), node(output_name="y", name="y")(lambda x: x)])

    async def main() -> None:
        results = await pipeline.amap(
            {"x": [5, 6, 7]}, map_over="x", config=RuntimeConfig(executor=SequentialExecutor())
        )
        assert [one["y"] for one in results] == [5, 6, 7]
        lazily = pipeline.aimap({"x": iter(range(5))}, map_over="x", output_name="y", buffersize=2)
        assert [one["y"] async for one in lazily] == list(range(5))

    library.run(main)


def test_nested_maps_run_side_by_side(library: Library) -> None:
    meet = meeting(library, 3)
    inner = Pipeline([step(meet, "n")], name="inner").as_node(map_over="x")

    async def main() -> None:
        assert await Pipeline([inner]).arun(x=[1, 2, 3]) == {"n": [3, 3, 3]}

    library.run(main)


def test_amap_of_plain_nodes(library: Library) -> None:
    async def main() -> None:
        pipeline = Pipeline([graphs.invert, graphs.double])
        assert await pipeline.amap({"x": [1, 2]}, map_over="x") == pipeline.map({"x": [1, 2]}, map_over="x")
        outcomes = await pipeline.amap({"x": [1, 0]}, map_over="x", return_exceptions=True)
        assert [getattr(one, "item", None) for one in outcomes] == [None, 1]
        with pytest.raises(PipelineError, match="item 1"):
            await pipeline.amap({"x": [1, 0]}, map_over="x")
        assert [one["z"] async for one in pipeline.aimap({"x": iter([1.0])}, map_over="x")] == [2.0]

    library.run(main)


def test_amap_of_plain_nodes_is_cancelled_while_one_runs(library: Library) -> None:
    began, go = threading.Event(), threading.Event()

    def waits(x: int) -> int:
        began.set()
        go.wait(PATIENCE)
        return x

    async def main() -> None:
        try:
            async with library.children() as start:
                child = start(lambda: Pipeline([node(output_name="y")(waits)]).amap({"x": [1]}, map_over="x"))
                await to_thread(began.wait, PATIENCE)
                child.cancel()
                assert await child.end() == CANCELLED
        finally:
            go.set()

    library.run(main)


def test_failures_name_node_and_item(library: Library) -> None:
    async def fails(x: int) -> int:
        return 1 // x

    pipeline = Pipeline([node(output_name="y")(fails)], name="ratio")
    nested = Pipeline([pipeline.as_node(map_over="x")])

    async def main() -> None:
        with pytest.raises(PipelineError) as caught:
            await pipeline.amap({"x": [1, 0, 2]}, map_over="x")
        assert (caught.value.node, caught.value.item, caught.value.inputs) == ("fails", 1, {"x": "0"})
        with pytest.raises(PipelineError) as caught:
            await nested.arun(x=[1, 2, 0])
        assert caught.value.node == "ratio[2]/fails"
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        with pytest.raises(InvalidInputs, match="did you mean 'x'"):
            await pipeline.arun(X=1)

    library.run(main)


def test_the_first_failure_in_order_counts(library: Library) -> None:
    failed = []

    async def first(x: int) -> int:
        while not failed:
            await pause(library)
        raise KeyError("first")

    async def second(x: int) -> int:
        failed.append(1)
        raise KeyError("second")

    async def main() -> None:
        with pytest.raises(PipelineError) as caught:
            await Pipeline([node(output_name="a")(first), node(output_name="b")(second)]).arun(x=1)
        assert caught.value.node == "first"

    library.run(main)


def test_retries_and_timeouts(library: Library) -> None:
    tries = []

    async def third(x: int) -> int:
        tries.append(x)
        if len(tries) < 3:
            raise OSError
        return x

    async def never(x: int) -> None:
        while True:
            await pause(library)

    async def main() -> None:
        assert await Pipeline([node(output_name="y", retries=2, backoff=0)(third)]).arun(x=1) == {"y": 1}
        with pytest.raises(PipelineError) as caught:
            await Pipeline([node(output_name="y", timeout=0.01, retries=1, backoff=0)(never)]).arun(x=1)
        assert isinstance(caught.value.__cause__, TaskTimeout)
        assert caught.value.attempts == 2

    library.run(main)


def test_a_cancelled_caller_cancels_its_nodes(library: Library) -> None:
    begun, ended = threading.Event(), []

    async def forever(x: int) -> None:
        begun.set()
        try:
            while True:
                await pause(library)
        finally:
            ended.append(x)

    async def main() -> None:
        async def cancelled() -> None:
            await Pipeline([node(output_name="y")(forever)]).arun(x=1)

        async with library.children() as start:
            child = start(cancelled)
            while not begun.is_set():
                await pause(library)
            child.cancel()
            assert await child.end() == CANCELLED
        assert ended == [1]

    library.run(main)


def test_the_cache_and_callbacks_work(library: Library) -> None:
    told: list[str] = []

    class Tell(PipelineCallback):
        def on_node_start(self, node, context):
            told.append(f"start {node}")

        def on_node_cached(self, node, context):
            told.append(f"cached {node}")

    config = RuntimeConfig(cache=MemoryCache(), callbacks=(Tell(),))

    async def main() -> None:
        for _ in range(2):
            assert await MIXED.arun(x=1, config=config) == {"waited": 2, "doubled": 4}
        assert told == ["start plus_one", "start <lambda>", "cached plus_one", "cached <lambda>"]

    library.run(main)


def test_plain_nodes_go_where_the_configuration_says(library: Library) -> None:
    import os

    async def given(pid: int) -> int:
        return pid

    pipeline = Pipeline([graphs.where, node(output_name="same")(given)])

    async def main() -> None:
        with ProcessPoolExecutor(1) as pool:
            result = await pipeline.arun(x=1, config=RuntimeConfig(executor=pool))
        assert result["pid"] == result["same"] != os.getpid()

    library.run(main)


def test_run_in_a_loop_says_what_to_do(library: Library) -> None:
    async def main() -> None:
        for call in (lambda: MIXED.run(x=1), lambda: MIXED.map({"x": [1]}, map_over="x")):
            with pytest.raises(RuntimeError, match=r"use `await pipeline.arun\(...\)`"):
                call()

    library.run(main)


def test_arun_without_a_loop_says_so() -> None:
    with pytest.raises(RuntimeError, match="no event loop"):
        MIXED.arun(x=1).send(None)
