"""`weft.cli.demo.timeline`: who ran what when."""

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from weft.cli.demo.timeline import Lane, Span, Timed, lanes


def span(start: float, end: float, *, cpu: float | None = None, thread: int = 1) -> Span:
    return Span(f"worker {thread}", 10, thread, start, end, end - start if cpu is None else cpu)


def test_timed_gives_result_and_span() -> None:
    before = time.perf_counter()
    result, found = Timed[int, int](abs)(-3)
    assert result == 3
    assert before <= found.start <= found.end <= time.perf_counter()
    assert (found.name, found.process, found.thread) == (
        threading.current_thread().name,
        os.getpid(),
        threading.get_native_id(),
    )


def test_timed_tells_waiting_from_running() -> None:
    gate = threading.Event()

    def wait(_: int) -> bool:
        return gate.wait(0.05)

    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    _, waiting = Timed[int, bool](wait)(0)
    _, running = Timed[float, None](spin)(0.05)
    assert waiting.end - waiting.start >= 0.04
    assert waiting.cpu < 0.04
    assert running.cpu >= 0.05


def test_timed_crosses_to_another_process() -> None:
    timed = pickle.loads(pickle.dumps(Timed[int, int](abs)))
    assert timed(-1)[0] == 1


def test_lanes_by_worker_in_order_of_beginning() -> None:
    spans = [span(7, 8, thread=2), span(5, 6), span(6, 9), span(4, 5, thread=3)]
    found = lanes(spans, origin=4)
    assert [lane.name for lane in found] == ["worker 3", "worker 1", "worker 2"]
    assert [index for index, _ in found[1].tasks] == [1, 2]
    assert [(task.start, task.end) for _, task in found[1].tasks] == [(1, 2), (2, 5)]


def test_lanes_of_a_real_pool() -> None:
    barrier = threading.Barrier(2)

    def meet(_: int) -> int:
        return barrier.wait(10)

    with ThreadPoolExecutor(2) as executor:
        outcomes = list(executor.map(Timed(meet), range(2)))
    found = lanes([span for _, span in outcomes], origin=0)
    assert [len(lane.tasks) for lane in found] == [1, 1]


def test_shares() -> None:
    lane = Lane("w", 1, ((0, span(0.5, 2.5, cpu=1.0)), (1, span(2.5, 3, cpu=0.5))))
    assert lane.shares(4, 1.0) == [
        pytest.approx((0.5, 0.25)),
        pytest.approx((1.0, 0.5)),
        pytest.approx((1.0, 0.75)),
        pytest.approx((0.0, 0.0)),
    ]


def test_shares_of_a_task_at_the_very_end() -> None:
    lane = Lane("w", 1, ((0, span(1.0, 2.0)),))
    assert lane.shares(2, 1.0) == [pytest.approx((0.0, 0.0)), pytest.approx((1.0, 1.0))]


def test_a_task_that_took_no_time() -> None:
    assert Lane("w", 1, ((0, span(1.0, 1.0)),)).shares(2, 1.0) == [(0.0, 0.0), (0.0, 0.0)]
