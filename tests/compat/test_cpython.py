"""CPython's own tests of `concurrent.futures` and of asyncio's executors, run by `python -m weft.compat` in both modes.

In passthrough mode all pass, which is the stdlib by another name: here some of them show that, all of them do in `make
chaos`. In managed mode all do but for `EXCEPTIONS`, each with its reason, nearly all of which are those of weft's pools
by themselves (tests/executors/test_cpython.py).
"""

from collections.abc import Iterator

import pytest

from tests.cpython.exceptions import POOLS
from tests.cpython.runs import Runs, is_there
from tests.executors.child import FULL

POOL_TESTS = {
    "test_as_completed": 10,
    "test_deadlock": 10,
    "test_future": 20,
    "test_init": 5,
    "test_interpreter_pool": 35,
    "test_process_pool": 20,
    "test_shutdown": 20,
    "test_thread_pool": 15,
    "test_wait": 10,
}
"""The modules of `test.test_concurrent_futures`, and how many tests must have been found in each."""

LOOP_TESTS = {
    "test_base_events:executor": 3,
    "test_events:executor": 6,
    "test_futures:wrap_future": 4,
    "test_runners": 25,
    "test_tasks:RunCoroutineThreadsafe": 5,
    "test_threads": 6,
}
"""The modules of `test.test_asyncio`, and which of their tests: those with the word in their name, or their class's."""

RUNS = {
    f"test.test_concurrent_futures.{name}": least
    for name, least in POOL_TESTS.items()
    if is_there(f"test.test_concurrent_futures.{name}")
}
if is_there("test.test_asyncio"):
    RUNS[" ".join(f"test.test_asyncio.{name}" for name in LOOP_TESTS)] = sum(LOOP_TESTS.values())

EXCEPTIONS = {
    "managed": POOLS
    | {
        "ProcessPoolProcessPoolExecutorTest.test_max_tasks_per_child": (
            "expects to be refused under `fork`; ours come from a template, whatever the context says"
        ),
        "ProcessPoolFailingInitializerTest.test_initializer": (
            "a queue of a context that forks as initargs; ours take those of contexts that do not"
        ),
    },
    "passthrough": dict[str, str](),
}

PASSED_THROUGH = ("test_future", "test_thread_pool", "test_wait")


def is_tried(mode: str, name: str) -> bool:
    return FULL or mode == "managed" or name.endswith(PASSED_THROUGH)


pytestmark = [
    pytest.mark.deadline(300),
    pytest.mark.skipif(not RUNS, reason="this interpreter has come without the stdlib's tests (package `test`)"),
]


@pytest.fixture(scope="module", params=EXCEPTIONS)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def runs(mode: str) -> Iterator[Runs[str]]:
    """One mode after the other: a machine that is too busy makes some of these tests late."""
    runs: Runs[str] = Runs()
    for name in RUNS:
        if not is_tried(mode, name):
            continue
        program = ["-m", "weft.compat", "-m", "tests.compat.cpython_program"]
        runs.start(name, *program, *name.split(), environment={"WEFT_COMPAT_MODE": mode})
    yield runs
    runs.end()


@pytest.mark.parametrize("name", RUNS)
def test_all_pass(runs: Runs[str], mode: str, name: str) -> None:
    if not is_tried(mode, name):
        pytest.skip("the stdlib by another name: in `make chaos`")
    runs.check(name, RUNS[name], EXCEPTIONS[mode])


def test_no_exception_is_there_for_nothing(runs: Runs[str], mode: str) -> None:
    passed = runs.passed(RUNS)
    assert [test for test in EXCEPTIONS[mode] if test in passed] == []
