"""The Future against a model of it: Hypothesis chooses what is done to which task, in which order.

A pool of two workers, tasks that wait for the test to let them end, and threads that wait for futures. After each
step the machine waits for the pool to come to rest: as many tasks run as there are workers (or tasks), which is where
nothing moves by itself. Then every future is asked everything that it answers without waiting, and must say what the
model says. The last step lets everything end, shuts the pool down, one way or the other, and asks again.

No step sleeps in order to wait: tasks say that they have begun, and stand at a lock until the test opens it.
"""

import concurrent.futures
import gc
import logging
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import weft
from tests.executors.child import times
from weft.errors import Interrupted
from weft.executors import ThreadPoolExecutor

WORKERS = 2
PATIENCE = 20.0
# Of any characters, hypothesis would first make itself a table of them all, which takes seconds: somebody is waiting.
TEXTS = st.text(alphabet="aä€ ", max_size=3)


class Stop(BaseException):
    """An exception of the test's own to interrupt with."""


class Task:
    """One task, what it is to do, and what the model knows of its future."""

    def __init__(self, number: int, arrivals: "queue.SimpleQueue[Task]") -> None:
        self.number = number
        self.arrivals = arrivals
        self.state = "pending"  # running, finished, failed, cancelled
        self.outcome: tuple[bool, Any] = (True, None)
        self.interrupted_by: type[BaseException] | None = None
        self.future: Future[Any] | None = None
        self.reference: weakref.ref[Future[Any]] | None = None
        self.begun = False
        self.gate = threading.Lock()
        self.gate.acquire()
        self.runs = 0
        self.called: list[tuple[int, bool]] = []  # which callbacks, and whether on this thread
        self.expected_calls: list[tuple[int, bool]] = []
        self.registered = 0
        self.waiters: list[tuple[threading.Thread, list[Any]]] = []

    def __repr__(self) -> str:
        return f"task {self.number} ({self.state})"

    def body(self) -> Any:
        self.runs += 1
        self.arrivals.put(self)
        self.gate.acquire()  # in C: an interrupt that was asked for arrives when it returns
        good, value = self.outcome
        if good:
            return value
        raise value

    @property
    def settled(self) -> bool:
        return self.state not in {"pending", "running"}


def waits(future: Future[Any]) -> dict[str, Callable[[], Any]]:
    """The ways to wait for a future; each gives what `result` gives, or raises what it raises."""
    return {
        "result": lambda: future.result(PATIENCE),
        "result for ever": lambda: future.result(),
        "exception": lambda: (future.exception(PATIENCE), future.result())[1],
        "wait": lambda: concurrent.futures.wait([future], PATIENCE).done.pop().result(0),
        "as_completed": lambda: next(concurrent.futures.as_completed([future], PATIENCE)).result(0),
    }


def told(wait: Callable[[], Any]) -> Any:
    """What a wait has come to, in a form that can be compared."""
    try:
        return wait()
    except CancelledError:
        return CancelledError
    except TimeoutError:
        return TimeoutError
    except BaseException as error:
        return error if isinstance(error, ValueError) else type(error)


class FutureMachine(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    @initialize()
    def open(self) -> None:
        self.pool = ThreadPoolExecutor(WORKERS)
        logging.getLogger("concurrent.futures").disabled = True  # of callbacks that raise there are thousands
        self.all: list[Task] = []
        self.arrivals: queue.SimpleQueue[Task] = queue.SimpleQueue()

    # ---- what is done

    @rule(target=tasks, count=st.integers(1, 3))
    def submit(self, count: int) -> Any:
        new = []
        for _ in range(count):
            task = Task(len(self.all), self.arrivals)
            self.all.append(task)
            task.future = self.pool.submit(task.body)
            task.reference = weakref.ref(task.future)
            new.append(task)
        return multiple(*new)

    @rule(task=tasks)
    def cancel(self, task: Task) -> None:
        assert task.future is not None
        assert task.future.cancel() is (task.state in {"pending", "cancelled"})
        if task.state == "pending":
            task.state = "cancelled"
            self.expect_calls(task, here=True)

    @rule(task=tasks, outcome=st.one_of(st.none(), st.integers(), TEXTS), fails=st.booleans())
    def let_end(self, task: Task, outcome: Any, fails: bool) -> None:
        if task.state == "running":
            task.outcome = (not fails, ValueError(outcome) if fails else outcome)
            self.end(task)

    @rule(task=tasks, exc=st.sampled_from([Interrupted, Stop, KeyboardInterrupt]))
    def interrupt(self, task: Task, exc: type[BaseException]) -> None:
        assert task.future is not None
        assert task.future.interrupt(exc) is (task.state == "running")
        if task.state == "running":
            task.interrupted_by = exc
            self.end(task)

    @rule(task=tasks, raises=st.booleans())
    def add_callback(self, task: Task, raises: bool) -> None:
        assert task.future is not None
        number, me = task.registered, threading.get_ident()
        task.registered += 1

        def callback(future: Future[Any]) -> None:
            assert future.done()
            task.called.append((number, threading.get_ident() == me))
            if raises:
                raise ValueError("in a callback: is logged")

        task.future.add_done_callback(callback)
        if task.settled:
            task.expected_calls.append((number, True))
            assert task.called[-1] == (number, True)

    @rule(task=tasks, how=st.sampled_from(sorted(waits(Future()))), threads=st.integers(1, 3))
    def wait_in_threads(self, task: Task, how: str, threads: int) -> None:
        assert task.future is not None
        if len(task.waiters) > 6:
            return
        for _ in range(threads):
            came_to: list[Any] = []
            wait = waits(task.future)[how]
            thread = threading.Thread(target=lambda into=came_to, wait=wait: into.append(told(wait)))
            thread.start()
            task.waiters.append((thread, came_to))
            del wait

    @rule(task=tasks, timeout=st.sampled_from([0, -1, 0.001]), method=st.sampled_from(["result", "exception"]))
    def ask_in_vain(self, task: Task, timeout: float, method: str) -> None:
        assert task.future is not None
        got = told(lambda: getattr(task.future, method)(timeout))
        if not task.settled:
            assert got is TimeoutError
        elif method == "result" or task.state == "cancelled":
            assert got == self.expected(task)
        else:
            assert got is None or isinstance(got, BaseException)

    @rule(task=tasks)
    def look_at_the_private_state(self, task: Task) -> None:
        future: Any = task.future
        with future._condition:
            assert isinstance(future._waiters, list)
            names = {"pending": "PENDING", "running": "RUNNING", "cancelled": "CANCELLED_AND_NOTIFIED"}
            assert future._state == names.get(task.state, "FINISHED")

    @rule(task=tasks)
    def try_to_set(self, task: Task) -> None:
        assert task.future is not None
        with pytest.raises(RuntimeError):
            task.future.set_result(1)
        with pytest.raises(RuntimeError):
            task.future.set_exception(ValueError())

    @rule(task=tasks)
    def set_an_attribute(self, task: Task) -> None:
        future: Any = task.future
        future.itself = future  # a cycle; the collector has to find it

    @rule(task=consumes(tasks))
    def drop(self, task: Task) -> None:
        """The test lets go of the future; the task runs nevertheless."""
        task.future = None

    @rule()
    def collect(self) -> None:
        gc.collect()

    # ---- what must be

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.come_to_rest()
        for task in self.all:
            self.check(task)

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        try:
            self.let_all_end()
        finally:
            logging.getLogger("concurrent.futures").disabled = False
        for task in self.all:
            self.check(task)
            self.check_the_end(task)
        for task in self.all:
            task.future, task.outcome = None, (True, None)  # an error's traceback has frames that know the future
            task.waiters.clear()
        gc.collect()
        assert [task for task in self.all if task.reference is not None and task.reference() is not None] == []

    def let_all_end(self) -> None:
        self.come_to_rest()
        cancel = len(self.all) % 2 == 1
        self.pool.shutdown(wait=False, cancel_futures=cancel)
        for task in self.all:
            if task.settled:
                continue
            cancelled = cancel and task.state == "pending"
            task.state = "cancelled" if cancelled else "finished"
            self.expect_calls(task, here=cancelled)
            task.outcome = (True, task.number)
            task.gate.release()
        self.pool.shutdown(wait=True)

    def check_the_end(self, task: Task) -> None:
        assert task.runs == (task.state != "cancelled")
        assert task.called == task.expected_calls
        for thread, came_to in task.waiters:
            thread.join(PATIENCE)
            assert not thread.is_alive()
            assert came_to == [self.expected(task)]

    # ---- the model

    def end(self, task: Task) -> None:
        """Lets a running task run to its end, and waits for that with its callbacks."""
        assert task.future is not None
        over = threading.Event()
        expected_calls = task.registered
        task.future.add_done_callback(lambda f: over.set())  # the last in line
        task.gate.release()
        assert over.wait(PATIENCE)
        assert len(task.called) == expected_calls
        task.state = "failed" if task.interrupted_by or not task.outcome[0] else "finished"
        self.expect_calls(task, here=False)

    @staticmethod
    def expect_calls(task: Task, *, here: bool) -> None:
        task.expected_calls += [(number, here) for number in range(task.registered)]

    @staticmethod
    def expected(task: Task) -> Any:
        if task.state == "cancelled":
            return CancelledError
        if task.interrupted_by:
            return task.interrupted_by
        return task.outcome[1]

    def come_to_rest(self) -> None:
        """Waits until as many tasks run as can; which ones, the pool decides."""
        alive = [task for task in self.all if not task.settled]
        can_run = min(WORKERS, len(alive))
        while sum(task.begun for task in alive) < can_run:
            self.arrivals.get(timeout=PATIENCE).begun = True
        for task in alive:
            if task.begun:
                task.state = "running"

    def check(self, task: Task) -> None:
        future = task.future
        if future is None:
            return
        assert isinstance(future, Future)
        assert type(future) is weft.Future
        assert future.running() is (task.state == "running"), task
        assert future.cancelled() is (task.state == "cancelled"), task
        assert future.done() is task.settled, task
        assert task.called == task.expected_calls
        if task.settled:
            assert told(lambda: future.result(0)) == self.expected(task)


TestFuture = pytest.mark.deadline(600)(FutureMachine.TestCase)
TestFuture.settings = settings(
    # Without a GIL a collection walks all that the tests before have left in the heap, and there are several an example.
    max_examples=settings().max_examples * (times(60, 10) if sys._is_gil_enabled() else times(20, 8)) // 50,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
