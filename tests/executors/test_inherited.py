"""What only processes inherit: locks, queues, pipes and shared memory of `multiprocessing` as arguments of initializers.

Each type does real work between two workers and this process, and does the same in the stdlib's pool.
"""

import concurrent.futures
import multiprocessing
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from multiprocessing import sharedctypes, synchronize
from pathlib import Path
from typing import Any

import pytest

from tests.executors import inherited_tasks as tasks
from tests.executors.child import FULL, descriptors_of_this_process, run_child, wait_until
from tests.executors.inherited_tasks import PATIENCE
from weft.errors import InitializerFailed, PayloadError, WorkerCrashed
from weft.executors import InterpreterPoolExecutor, ProcessPoolExecutor

TIMES = 300

type Start = Callable[..., Any]


@pytest.fixture(params=["spawn", "forkserver"])
def context(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.fixture
def start(context: Any) -> Iterator[Start]:
    """Starts a pool with two workers that keep these things."""
    with ExitStack() as stack:
        yield lambda *things: stack.enter_context(ProcessPoolExecutor(2, initializer=tasks.keep, initargs=things))


def on_both(pool: Any, task: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Submits a task to each of two workers, that run at the same time."""
    return [pool.submit(task, *arguments) for _ in range(2)]


def pids(futures: list[Any]) -> set[int]:
    """Of tasks that return their worker's, perhaps with something true."""
    results = [future.result(PATIENCE) for future in futures]
    assert all(result[1] for result in results if isinstance(result, tuple))
    return {result[0] if isinstance(result, tuple) else result for result in results}


# ---- each type does its work -----------------------------------------------------------------------


def exclude(context: Any, start: Start, make: Callable[[], Any], task: Callable[..., Any]) -> None:
    raw = context.RawValue("i", 0)
    lock = make()
    pool = start(lock, raw)
    futures = on_both(pool, task, TIMES)
    tasks.keep(lock, raw)
    tasks.add(TIMES)
    pids(futures)
    assert raw.value == 3 * TIMES


def use_lock(context: Any, start: Start) -> None:
    exclude(context, start, context.Lock, tasks.add)


def use_rlock(context: Any, start: Start) -> None:
    exclude(context, start, context.RLock, tasks.add_twice_locked)


def use_semaphore(context: Any, start: Start) -> None:
    semaphore = context.Semaphore(0)
    pool = start(semaphore)
    futures = on_both(pool, tasks.acquire)
    assert not any(future.done() for future in futures)
    semaphore.release()
    semaphore.release()
    pids(futures)
    pool.submit(tasks.release).result(PATIENCE)
    assert semaphore.acquire(timeout=PATIENCE)


def use_bounded_semaphore(context: Any, start: Start) -> None:
    semaphore = context.BoundedSemaphore(1)
    pool = start(semaphore)
    assert pool.submit(tasks.acquire).result(PATIENCE)[1]
    assert not semaphore.acquire(block=False)
    pool.submit(tasks.release).result(PATIENCE)
    with pytest.raises(ValueError, match="released too many times"):
        pool.submit(tasks.release).result(PATIENCE)


def use_event(context: Any, start: Start) -> None:
    event, other = context.Event(), context.Event()
    pool = start(event, other)
    futures = on_both(pool, tasks.wait)
    event.set()
    pids(futures)
    assert not other.is_set()
    pool.submit(tasks.set_second).result(PATIENCE)
    assert other.wait(PATIENCE)


def use_condition(context: Any, start: Start) -> None:
    condition, raw = context.Condition(), context.RawValue("i", 0)
    pool = start(condition, raw)
    future = pool.submit(tasks.wait_for_number, 7)
    pool.submit(tasks.notify_number, 7).result(PATIENCE)
    assert future.result(PATIENCE)[1]
    futures = on_both(pool, tasks.wait_for_number, 8)
    tasks.keep(condition, raw)
    tasks.notify_number(8)
    pids(futures)


def use_barrier(context: Any, start: Start) -> None:
    barrier = context.Barrier(3)
    futures = on_both(start(barrier), tasks.wait)
    places = [barrier.wait(PATIENCE), *(future.result(PATIENCE)[1] for future in futures)]
    assert sorted(places) == [0, 1, 2]


def queues(start: Start, first: Any, second: Any) -> None:
    pool = start(first, second)
    first.put("here")
    pool.submit(tasks.put, "there", {"a": 1}).result(PATIENCE)
    futures = [pool.submit(tasks.pass_on, count) for count in (1, 2)]
    items = [second.get() for _ in range(3)]
    assert {worker for worker, _ in items} == pids(futures)
    assert sorted(str(item) for _, item in items) == ["here", "there", "{'a': 1}"]


def use_queue(context: Any, start: Start) -> None:
    queues(start, context.Queue(), context.Queue(3))


def use_joinable_queue(context: Any, start: Start) -> None:
    queue = context.JoinableQueue()
    queues(start, queue, context.Queue())
    queue.join()


def use_simple_queue(context: Any, start: Start) -> None:
    queues(start, context.SimpleQueue(), context.SimpleQueue())


def use_pipe(context: Any, start: Start) -> None:
    here, there = context.Pipe()
    between = context.Pipe(duplex=False)
    pool = start(there, between[0])
    here.send("question")
    tasks.keep(between[1])
    tasks.send("from here")
    assert pool.submit(tasks.receive).result(PATIENCE) == "from here"
    pool.submit(tasks.send, ["answer"]).result(PATIENCE)
    assert here.recv() == ["answer"]
    for end in (here, there, *between):
        end.close()


def use_pipe_between_workers(context: Any, start: Start) -> None:
    reader, writer = context.Pipe(duplex=False)
    pool = start(writer, reader)
    future = pool.submit(tasks.receive)
    pool.submit(tasks.send, "across").result(PATIENCE)
    assert future.result(PATIENCE) == "across"
    reader.close()
    writer.close()


def use_socket(context: Any, start: Start) -> None:
    here, there = socket.socketpair()
    with here, there:
        future = start(there).submit(tasks.answer)
        here.sendall(b"abc")
        assert here.recv(100) == b"cba"
        future.result(PATIENCE)


def use_value(context: Any, start: Start) -> None:
    number = context.Value("q", 1)
    futures = on_both(start(number), tasks.increment, TIMES)
    tasks.keep(number)
    tasks.increment(TIMES)
    pids(futures)
    assert number.value == 1 + 3 * TIMES


def arrays(context: Any, start: Start, array: Any) -> None:
    pool = start(array, context.Barrier(2))
    futures = [pool.submit(tasks.meet_and_mark, index) for index in range(2)]
    assert [future.result(PATIENCE) for future in futures] == list(array[:2])
    assert len(pids(futures)) == 2
    array[2] = 5
    assert pool.submit(tasks.look, 2).result(PATIENCE) == 5


def use_array(context: Any, start: Start) -> None:
    arrays(context, start, context.Array("i", 3))


def use_raw_array(context: Any, start: Start) -> None:
    arrays(context, start, context.RawArray("i", 3))


USES = {name[4:]: use for name, use in list(globals().items()) if name.startswith("use_")}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_works_between_workers_and_the_caller(use: Callable[..., None], context: Any, start: Start) -> None:
    use(context, start)


@pytest.mark.skipif(not FULL, reason="the stdlib's pool is tried in `make chaos`")
@pytest.mark.deadline(180)
def test_the_stdlibs_pool_does_the_same(context: Any) -> None:
    for use in USES.values():
        with ExitStack() as stack:

            def start(*things: Any, stack: ExitStack = stack) -> Any:
                pool = concurrent.futures.ProcessPoolExecutor(
                    2, mp_context=context, initializer=tasks.keep, initargs=things
                )
                return stack.enter_context(pool)

            use(context, start)


# ---- however it is passed --------------------------------------------------------------------------


def check_kept(pool: Any, here: Any) -> None:
    with pool:
        pool.submit(tasks.send_locked).result(PATIENCE)
        assert here.recv() > 0
    here.close()


def test_in_other_objects(context: Any) -> None:
    here, there = context.Pipe()
    holder = tasks.Holder(context.Lock(), {"there": there})
    check_kept(ProcessPoolExecutor(1, initializer=holder.keep), here)
    here, there = context.Pipe()
    holder = tasks.Holder(context.Lock(), {"there": there})
    check_kept(ProcessPoolExecutor(1, initializer=partial(tasks.Holder.keep, holder)), here)


def test_many_descriptors_and_too_many(context: Any) -> None:
    pipes = [context.Pipe(duplex=False) for _ in range(125)]
    few = [end for pipe in pipes[:100] for end in pipe]
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(few[1], *few)) as pool:
        pool.submit(tasks.send, "here").result(PATIENCE)
        assert few[0].recv() == "here"
    with pytest.raises(PayloadError, match="at most 240 descriptors") as caught:
        ProcessPoolExecutor(1, initializer=tasks.keep, initargs=tuple(pipes))
    assert caught.value.path == "initargs[120][0]"
    for pipe in pipes:
        for end in pipe:
            end.close()


def test_a_worker_passes_it_on(context: Any, start: Start) -> None:
    raw = context.RawValue("i", 0)
    pool = start(context.Lock(), raw)
    assert pool.submit(tasks.in_a_pool_of_its_own, 3).result(PATIENCE) != pool.submit(tasks.add, 4).result(PATIENCE)
    assert raw.value == 7


@pytest.mark.parametrize("preload", [[], ["multiprocessing.queues", "multiprocessing.synchronize"]])
def test_what_is_in_a_queue_is_sent_before_a_worker_ends(context: Any, preload: list[str]) -> None:
    queue = context.Queue()
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(queue,), preload=preload) as pool:
        pool.submit(tasks.put, *range(100))
    assert [queue.get(timeout=PATIENCE) for _ in range(100)] == list(range(100))


# ---- further workers -------------------------------------------------------------------------------


def test_replaced_workers_have_it_too(context: Any) -> None:
    lock, raw, array = context.Lock(), context.RawValue("i", 0), context.Array("i", 3)
    things = lock, raw, array
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=things, max_tasks_per_child=2) as pool:
        assert len(pids([pool.submit(tasks.add, 10) for _ in range(6)])) >= 3
    assert raw.value == 60


def test_the_worker_after_one_that_crashed_has_it_too(context: Any) -> None:
    here, there = context.Pipe()
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(there, there)) as pool:
        first = pool.submit(tasks.pid).result(PATIENCE)
        with pytest.raises(WorkerCrashed):
            pool.submit(tasks.die).result(PATIENCE)
        pool.submit(tasks.send, "well").result(PATIENCE)
        assert here.recv() == "well"
        assert pool.submit(tasks.pid).result(PATIENCE) != first
    here.close()
    there.close()


def test_what_the_caller_drops_stays_for_the_workers_to_come(context: Any) -> None:
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(context.Semaphore(7), context.Event())) as pool:
        assert pool.submit(tasks.acquire).result(PATIENCE)[1]


def test_a_pipe_that_was_closed_breaks_the_pool_by_name(context: Any) -> None:
    here, there = context.Pipe()
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=("first", there)) as pool:
        there.close()
        error = pool.submit(tasks.pid).exception(PATIENCE)
        assert isinstance(error, InitializerFailed)
        assert isinstance(error.__cause__, PayloadError)
        assert error.__cause__.path == "initargs[1]"
        assert "has to stay open" in str(error.__cause__)
    with pytest.raises(PayloadError, match="has to stay open"):
        ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(there,))
    here.close()


# ---- what is refused -------------------------------------------------------------------------------

FORKING = {
    "Lock": "",
    "RLock": "",
    "Semaphore": "",
    "BoundedSemaphore": "",
    "Condition": "._lock",
    "Event": "._cond._lock",
    "Queue": "._rlock",
    "SimpleQueue": "._rlock",
}


@pytest.mark.parametrize("name", [*FORKING, "Value", "Array"])
def test_locks_of_a_context_that_forks_are_refused_when_the_pool_is_made(name: str) -> None:
    arguments: tuple[Any, ...] = {"Value": ("i",), "Array": ("i", 3)}.get(name, ())
    thing = getattr(multiprocessing.get_context("fork"), name)(*arguments)
    with pytest.raises(PayloadError) as caught:
        ProcessPoolExecutor(1, initializer=tasks.keep, initargs=("first", {"it": thing}))
    assert caught.value.path == f"initargs[1]['it']{FORKING.get(name, '._lock')}"
    assert str(caught.value).endswith(f'multiprocessing.get_context("spawn").{name}()')


def inheritable() -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    for name in FORKING:
        yield getattr(context, name)()
    yield from (context.Value("i"), context.Array("i", 3), sharedctypes.RawValue("i"), sharedctypes.RawArray("i", 3))
    yield context.Barrier(2)
    for end in context.Pipe():
        yield end
        end.close()
    for end in socket.socketpair():
        yield end
        end.close()


def test_arguments_of_tasks_are_refused_with_a_remedy(start: Start) -> None:
    pool = start()
    for thing in inheritable():
        with pytest.raises(PayloadError, match="as one of the `initargs` of a process pool") as caught:
            pool.submit(print, {"it": thing})
        assert str(caught.value.path).startswith("args[0]['it']"), thing
    with pytest.raises(PayloadError) as caught:
        pool.submit(print, threading.Lock())
    assert "initargs" not in str(caught.value)


def test_results_are_refused(start: Start) -> None:
    lock, ends = multiprocessing.get_context("spawn").Lock(), multiprocessing.Pipe()
    pool = start(lock, *ends)
    for index in range(3):
        with pytest.raises(PayloadError) as caught:
            pool.submit(tasks.give, index).result(PATIENCE)
        assert caught.value.path == "result"
    for end in ends:
        end.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no pools of interpreters")
def test_interpreters_inherit_nothing(context: Any) -> None:
    with pytest.raises(PayloadError, match="of a process pool") as caught:
        InterpreterPoolExecutor(1, initializer=tasks.keep, initargs=(context.Lock(),))
    assert caught.value.path == "initargs[0]"


def test_what_only_plain_pickle_refuses_is_still_refused(context: Any) -> None:
    with pytest.raises(PayloadError) as caught:
        ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(context.Lock(), threading.Lock()))
    assert caught.value.path == "initargs[1]"


# ---- nothing is left -------------------------------------------------------------------------------


PREFIX = f"weft-test-{os.getpid()}"


@pytest.fixture(autouse=True)
def semaphores_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others on this machine make some at the same time."""
    settings: dict[str, str] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(settings, "semprefix", f"/{PREFIX}")


def semaphores() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if name.startswith(f"sem.{PREFIX}")}


def test_no_descriptor_and_no_semaphore_is_left(context: Any) -> None:
    def once() -> None:
        things = tasks.everything(context)
        with ProcessPoolExecutor(2, initializer=tasks.keep, initargs=things, max_tasks_per_child=3) as pool:
            pids([pool.submit(tasks.add, 1) for _ in range(8)])
            assert isinstance(pool.submit(tasks.die).exception(PATIENCE), WorkerCrashed)
        things[-1].close()
        things[-2].close()
        things[6].close()
        things[7].close()

    once()  # the template, the tracker and the arenas of shared memory stay
    descriptors, names = len(descriptors_of_this_process()), semaphores()
    for _ in range(3):
        once()
    wait_until(lambda: len(descriptors_of_this_process()) <= descriptors, "the same descriptors as before")
    wait_until(lambda: semaphores() <= names, "the same semaphores as before")


def test_no_descriptor_is_left_by_a_worker_that_never_came_for_it(context: Any) -> None:
    ends = context.Pipe()

    def once() -> None:
        with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(tasks.Deadly(), *ends)) as pool:
            assert pool.submit(tasks.pid).exception(PATIENCE) is not None

    once()
    descriptors = len(descriptors_of_this_process())
    for _ in range(3):
        once()
    wait_until(lambda: len(descriptors_of_this_process()) <= descriptors, "the same descriptors as before")
    for end in ends:
        end.close()


def test_a_pool_that_has_shut_down_holds_nothing(context: Any) -> None:
    lock = context.Lock()
    semaphore = Path("/dev/shm", f"sem.{lock._semlock.name.removeprefix('/')}")
    with ProcessPoolExecutor(1, initializer=tasks.keep, initargs=(lock, context.RawValue("i"))) as pool:
        del lock
        pool.submit(tasks.add, 1).result(PATIENCE)
        assert semaphore.exists()
    wait_until(lambda: not semaphore.exists(), "no semaphore")


PROGRAM = """
import multiprocessing, sys
from multiprocessing import shared_memory
from tests.executors import inherited_tasks as tasks
from weft.executors import ProcessPoolExecutor

multiprocessing.current_process()._config["semprefix"] = "/{prefix}"
context = multiprocessing.get_context("{context}")
things = tasks.everything(context)
memory = shared_memory.SharedMemory(create=True, size=10)
pool = ProcessPoolExecutor(2, initializer=tasks.keep, initargs=things, max_tasks_per_child=2, preload={preload})
for _ in range(3):
    assert pool.submit(tasks.make_a_lock).result(60) == []
for count in range(1, 7):
    assert pool.submit(tasks.attach, memory.name).result(60) == (count, [])
pool.submit(tasks.add, 3).result(60)
if {ends}:
    pool.shutdown()
    again = shared_memory.SharedMemory(memory.name)
    assert again.buf[0] == 6
    again.close()
trackers = [line for line in tasks.children() if "resource_tracker" in line]
assert len(trackers) == 1, trackers
assert "multiprocessing.resource_sharer" not in sys.modules
memory.close()
memory.unlink()
print("well")
"""


def with_mark(mark: str) -> list[str]:
    """The command lines of processes that have this in their environment."""
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


@pytest.mark.deadline(120)
@pytest.mark.parametrize("preload", [[], ["multiprocessing.resource_tracker"]], ids=["", "preloaded"])
@pytest.mark.parametrize("ends", [True, False], ids=["shutdown", "exit"])
def test_one_tracker_no_warning_no_process_left(context: Any, ends: bool, preload: list[str]) -> None:
    """Workers tell the caller's tracker: with one of their own they would unlink what others use."""
    names, mark = semaphores(), f"WEFT_TEST_INHERITED_{os.getpid()}"
    program = PROGRAM.format(prefix=PREFIX, context=context.get_start_method(), ends=ends, preload=preload)
    ended = run_child(program, seconds=90, **{mark: "1"})
    ended.check_sound()
    assert ended.output == "well\n"
    assert ended.errors == ""
    wait_until(lambda: not with_mark(mark), "no process")
    assert semaphores() <= names


def test_types_that_are_named_are_those_of_multiprocessing() -> None:
    """So that a type that Python adds is noticed."""
    assert {*synchronize.__all__} <= FORKING.keys()
