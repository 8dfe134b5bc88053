"""What executors on other engines share, on an engine that is a list or a thread: no cluster is needed here."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from tests.executors.flavors import PATIENCE
from weft._payloads import far
from weft.executors import _jobs, dask
from weft.executors._cluster import ClusterExecutor, ClusterFuture
from weft.executors._jobs import Job, JobExecutor
from weft.executors._worker_threads import start_thread


class Listed(ClusterExecutor):
    """Its calls run when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[ClusterFuture, bytes]] = []
        self.closed: list[bool] = []
        """For each time that it was closed, whether its calls had ended."""

    @property
    def max_workers(self) -> int:
        return 1

    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        self.begun.append((future, payload))

    def _close(self) -> None:
        self.closed.append(all(future.done() for future, _ in self.begun))

    def run(self) -> None:
        for future, payload in self.begun:
            future.settle(far.call(payload))


# ---- shutting down ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["set_result", "set_exception"])
def test_a_call_has_ended_when_its_outcome_is_there(outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Listed()
    future = executor.submit(int, "7" if outcome == "set_result" else "seven")
    set_outcome = getattr(future, outcome)

    def in_the_last_moment(value: Any) -> None:
        executor.shutdown(wait=False)
        set_outcome(value)

    monkeypatch.setattr(future, outcome, in_the_last_moment)
    executor.run()
    assert executor.closed == [True]


@pytest.mark.parametrize("ended", ["before", "after"])
def test_a_wait_for_the_end_that_is_interrupted_leaves_it_to_the_last_call(
    ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Listed()
    future = executor.submit(abs, -7)

    def interrupted(futures: object) -> None:
        if ended == "before":
            executor.run()
        raise KeyboardInterrupt

    monkeypatch.setattr(concurrent.futures, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.shutdown(wait=True)
    if ended == "after":
        executor.run()
    assert future.result(0) == 7
    assert executor.closed == [True]


# ---- jobs -------------------------------------------------------------------------------------------------


class Jobs(JobExecutor):
    """A job is a thread's loop, which waits for its gate."""

    _engine = "Loop"

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    @property
    def max_workers(self) -> int:
        return 1

    def _outcomes(self, job: Job) -> list[bytes]:
        assert self.gate.wait(PATIENCE)
        return [far.call(call.payload) for call in job.calls]


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    jobs.gate.set()
    jobs.shutdown(wait=True, cancel_futures=True)


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_call_whose_thread_does_not_start_is_refused_and_leaves_no_trace(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_jobs, "start_thread", no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            jobs.submit(abs, -1)
    assert jobs.submit(abs, -2).result(PATIENCE) == 2, "its place is free again"


def calls_of_two(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, start: Callable[[threading.Thread], None]) -> Any:
    """The future of a call that is in one job with a call whose thread is started like this."""
    others: list[Any] = []
    enter = jobs._enter_lock_held

    def enter_both(calls: list[_jobs.Call]) -> Job:
        if not others:  # the other's came into the queue at the same moment
            other = ClusterFuture(jobs._shared, "other")
            jobs._shared.enter(other)
            others.append(other)
            calls.append(_jobs.Call(other, far.pack(abs, (-3,), {}, far.TaskSettings(), task="other"), ()))
        return enter(calls)

    monkeypatch.setattr(jobs, "_enter_lock_held", enter_both)
    monkeypatch.setattr(_jobs, "start_thread", start)
    return others


def test_ctrl_c_in_one_callers_start_does_not_lose_anothers_call(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = iter([KeyboardInterrupt()])

    def interrupted_once(thread: threading.Thread) -> None:
        for error in starts:
            raise error
        start_thread(thread)

    others = calls_of_two(jobs, monkeypatch, interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        jobs.submit(abs, -1)
    assert others[0].result(PATIENCE) == 3


def test_a_job_runs_once_though_its_start_was_interrupted(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread may have begun all the same, and is not known to have."""
    starts = iter([KeyboardInterrupt()])
    threads: list[threading.Thread] = []

    def started_late(thread: threading.Thread) -> None:
        for error in starts:
            threads.append(thread)
            raise error
        start_thread(thread)

    others = calls_of_two(jobs, monkeypatch, started_late)
    with pytest.raises(KeyboardInterrupt):
        jobs.submit(abs, -1)
    start_thread(threads[0])
    threads[0].join(PATIENCE)
    assert others[0].result(PATIENCE) == 3


def test_without_threads_the_other_call_is_told(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    others = calls_of_two(jobs, monkeypatch, no_thread)
    with pytest.raises(RuntimeError, match="can't start"):
        jobs.submit(abs, -1)
    with pytest.raises(RuntimeError, match="can't start"):
        others[0].result(PATIENCE)


def test_without_another_thread_the_next_job_runs_on_the_same(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.gate.clear()
    first = jobs.submit(threading.get_ident)
    second = jobs.submit(threading.get_ident)
    monkeypatch.setattr(_jobs, "start_thread", no_thread)
    jobs.gate.set()
    assert first.result(PATIENCE) == second.result(PATIENCE)


# ---- Dask's thread ----------------------------------------------------------------------------------------


class OnNoCluster(dask.DaskExecutor):
    def __init__(self) -> None:
        ClusterExecutor.__init__(self)
        self._ended = SimpleQueue()
        self._fetcher = []
        self._is_ours = False


def test_what_fetches_results_is_started_again_where_it_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = OnNoCluster()
    with monkeypatch.context() as patch:
        patch.setattr(dask, "start_thread", no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            executor._start_fetcher()
    executor._start_fetcher()
    executor._close()


def test_a_fetching_thread_whose_start_was_interrupted_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = OnNoCluster()
    threads: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        start_thread(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dask, "start_thread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor._start_fetcher()
    executor._start_fetcher()
    executor._close()
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
