"""dask, the real one, with a weft pool as its scheduler: arrays, delayed graphs, reductions of several stages."""

import operator
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from weft.executors import SerialExecutor, ThreadPoolExecutor

dask: Any = pytest.importorskip("dask", reason="dask has no wheel for this interpreter")
# Before a test begins: numpy's own threads are not the tests'.
arrays: Any = pytest.importorskip("dask.array")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3, thread_name_prefix="weft-dask") as pool:
        yield pool


@pytest.fixture
def array() -> Any:
    return arrays.from_array(np.arange(10_000, dtype="float64").reshape(100, 100), chunks=(20, 20))


def test_array(pool: ThreadPoolExecutor, array: Any) -> None:
    reference = np.arange(10_000, dtype="float64").reshape(100, 100)
    (total, product) = dask.compute(array.sum(), (array + 1) * array.T, scheduler=pool)
    assert total == reference.sum()
    np.testing.assert_allclose(product, (reference + 1) * reference.T)


def test_a_reduction_of_several_stages(pool: ThreadPoolExecutor, array: Any) -> None:
    reference = np.arange(10_000, dtype="float64").reshape(100, 100)
    normal = (array - array.mean(axis=0)) / array.std(axis=0)
    (result,) = dask.compute(normal.sum(axis=1, split_every=2), scheduler=pool)
    expected = ((reference - reference.mean(axis=0)) / reference.std(axis=0)).sum(axis=1)
    np.testing.assert_allclose(result, expected, atol=1e-9)


def test_delayed_graph(pool: ThreadPoolExecutor) -> None:
    names: set[str] = set()

    @dask.delayed
    def square(number: int) -> int:
        names.add(threading.current_thread().name.rpartition("_")[0])
        return number * number

    layer = [square(number) for number in range(200)]
    while len(layer) > 1:
        layer = [dask.delayed(operator.add)(*pair) if len(pair) == 2 else pair[0] for pair in pairs(layer)]
    assert layer[0].compute(scheduler=pool) == sum(number * number for number in range(200))
    assert names == {"weft-dask"}


def pairs(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), 2):
        yield items[start : start + 2]


def test_a_failure_arrives_as_itself(pool: ThreadPoolExecutor) -> None:
    @dask.delayed
    def fail() -> None:
        raise KeyError("in a task of dask's")

    with pytest.raises(KeyError, match="in a task of dask's"):
        dask.compute(fail(), scheduler=pool)
    assert pool.submit(pow, 2, 3).result(30) == 8


def test_a_graph_within_a_task_of_the_same_pool(pool: ThreadPoolExecutor) -> None:
    """dask waits in a queue of its own, where a worker cannot help: the pool needs a worker more than graphs that wait."""

    @dask.delayed
    def nested(number: int) -> int:
        return dask.compute(dask.delayed(pow)(number, 2), scheduler=pool)[0]

    assert dask.compute([nested(1), nested(2)], scheduler=pool) == ([1, 4],)


@pytest.mark.parametrize("make", [SerialExecutor, lambda: ThreadPoolExecutor(1).options(name="dask")])
def test_with_other_executors_of_weft(make: Any, array: Any) -> None:
    with make() as executor:
        assert array.sum().compute(scheduler=executor) == 49_995_000


def test_as_the_scheduler_of_a_block(pool: ThreadPoolExecutor, array: Any) -> None:
    with dask.config.set(scheduler=pool):
        assert array.max().compute() == 9_999
