"""What executors on other engines share, on an engine that is a list or a thread: no cluster is needed here."""

import concurrent.futures
from typing import Any

import pytest

from weft._payloads import far
from weft.executors._cluster import ClusterExecutor, ClusterFuture


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
