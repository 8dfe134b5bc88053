"""`options(seed=…)`: the same numbers for any number of workers, in any order, on any flavor."""

import random
import time
from typing import Any

import pytest

from tests.executors import seeded_tasks as tasks
from tests.executors.flavors import PATIENCE
from tests.executors.test_remote import KINDS
from weft import TaskGroup
from weft.errors import InvalidSetting
from weft.executors import SerialExecutor, ThreadPoolExecutor, task_seed

MAKERS: dict[str, Any] = {"serial": lambda workers: SerialExecutor(), "threads": ThreadPoolExecutor, **KINDS}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


@pytest.fixture(scope="module")
def expected() -> list[int]:
    with SerialExecutor() as pool:
        return list(pool.options(seed=5).map(tasks.roll, range(50)))


@pytest.mark.parametrize("chunksize", [None, 1, 7])
@pytest.mark.parametrize("workers", [1, 3])
def test_items_have_their_seeds_whoever_runs_them(
    make: Any, workers: int, chunksize: int | None, expected: list[int]
) -> None:
    with make(workers) as pool:
        view = pool.options(seed=5)
        assert list(view.map(tasks.roll, range(50), chunksize=chunksize)) == expected
        assert list(view.map(tasks.roll, range(20), chunksize=chunksize)) == expected[:20]
        assert sorted(view.map(tasks.roll, range(50), ordered=False)) == sorted(expected)
    assert len(set(expected)) == 50


def test_submitted_ones_are_numbered_too(make: Any, expected: list[int]) -> None:
    with make(2) as pool:
        view = pool.options(seed=5)
        assert [view.submit(tasks.roll, 0).result(PATIENCE) for _ in range(5)] == expected[:5]
        assert [pool.options(seed=5).submit(tasks.roll, item=0).result(PATIENCE) for _ in range(2)] == expected[:1] * 2


def test_another_seed_gives_other_numbers(make: Any, expected: list[int]) -> None:
    with make(1) as pool:
        assert not set(pool.options(seed=6).map(tasks.roll, range(50))) & set(expected)


def test_several_inputs_and_the_other_options(make: Any) -> None:
    with make(2) as pool:
        view = pool.options(seed=5, name="named", retries=1)
        assert list(view.map(pow, [1, 2, 3], [2, 2, 2])) == [1, 4, 9]
        assert list(view.map(tasks.roll, range(3))) == list(pool.options(seed=5).map(tasks.roll, range(3)))


def test_a_retry_has_the_same_seed(make: Any, tmp_path: Any) -> None:
    with make(1) as pool:
        path = tmp_path / "seeds"
        pool.options(seed=5, retries=2, backoff=0.001).submit(tasks.fail_twice, str(path)).result(PATIENCE)
        assert len(set(path.read_text().split())) == 1
        assert len(path.read_text().split()) == 3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_alone_in_its_interpreter_a_task_has_its_random(kind: str) -> None:
    with KINDS[kind](1) as one, KINDS[kind](2) as two:
        rolls = list(one.options(seed=5).map(tasks.roll_the_global_one, range(30)))
        assert list(two.options(seed=5).map(tasks.roll_the_global_one, range(30), chunksize=1)) == rolls
        assert len(set(rolls)) == 30


def test_numpy_s_global_generator_too() -> None:
    pytest.importorskip("numpy")
    from tests.executors import seeded_numpy_tasks as numpy_tasks

    with KINDS["processes"](1) as one, KINDS["processes"](2, preload=["numpy"]) as two:
        rolls = list(one.options(seed=5).map(numpy_tasks.roll, range(9)))
        assert list(two.options(seed=5).map(numpy_tasks.roll, range(9), chunksize=1)) == rolls


def test_in_threads_everybody_s_random_is_left_alone() -> None:
    random.seed(1)
    number = random.random()
    random.seed(1)
    with ThreadPoolExecutor(1) as pool:
        list(pool.options(seed=5).map(tasks.roll, range(3)))
    assert random.random() == number


def test_a_task_group_of_a_view(expected: list[int]) -> None:
    with ThreadPoolExecutor(2) as pool, TaskGroup(pool.options(seed=5)) as group:
        futures = [group.submit(tasks.roll, 0) for _ in range(5)]
    assert [future.result() for future in futures] == expected[:5]


def test_without_a_seed(make: Any) -> None:
    with pytest.raises(RuntimeError, match=r"options\(seed=\.\.\.\)"):
        task_seed()
    with make(1) as pool:
        assert pool.options(seed=5).submit(tasks.roll, 0).result(PATIENCE)
        with pytest.raises(RuntimeError, match=r"options\(seed=\.\.\.\)"):
            pool.submit(tasks.roll, 0).result(PATIENCE)
        assert pool.options(seed=5).options().submit(abs, -3).result(PATIENCE) == 3
        with pytest.raises(RuntimeError, match=r"options\(seed=\.\.\.\)"):
            pool.options(seed=5).options(name="another").submit(tasks.roll, 0).result(PATIENCE)


@pytest.mark.parametrize("seed", ["5", 1.0, True])
def test_what_is_no_seed(seed: Any) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool, pytest.raises(InvalidSetting, match="seed"):
        pool.options(seed=seed)
    assert time.monotonic() - began < 30


def test_what_is_no_function() -> None:
    with ThreadPoolExecutor(1) as pool:
        view = pool.options(seed=5)
        with pytest.raises(TypeError, match="callable"):
            view.submit(3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="callable"):
            view.map(3, [1])  # type: ignore[arg-type]
