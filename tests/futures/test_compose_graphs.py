"""Random graphs of futures against a reference that walks them in order; and what races when a graph is made and ends."""

import concurrent.futures
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from tests.executors.flavors import PATIENCE
from tests.executors.race import race
from weft.executors import ThreadPoolExecutor

type Node = tuple[str, tuple[int, ...]]  # how it is made, and the numbers of its inputs
type Outcome = tuple[str, Any]


class Broken(Exception):
    """What a leaf fails with; its argument is the leaf's number."""


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Each node after its inputs. Leaves give a value, fail, or are cancelled before they begin."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(1, 40))):
        kinds = ["value", "value", "value", "fail", "cancel", "foreign"]
        if number:
            kinds += ["then", "then", "all", "all", "flow", "flow", "any"]
        kind = draw(st.sampled_from(kinds))
        most = {"then": 1, "all": 4, "flow": 4, "any": 3}.get(kind, 0)
        least = 1 if kind in ("then", "any") else 0
        inputs = draw(st.lists(st.integers(0, number - 1), min_size=least, max_size=most)) if most else []
        nodes.append((kind, tuple(inputs)))
    return nodes


def reference(nodes: list[Node]) -> list[Outcome | None]:
    """What becomes of each node; None: more than one thing may, since it depends on who is first."""
    found: list[Outcome | None] = []
    for number, (kind, inputs) in enumerate(nodes):
        before = [found[one] for one in inputs]
        bad = {outcome for outcome in before if outcome is not None and outcome[0] != "done"}
        if kind in ("value", "foreign"):
            found.append(("done", number))
        elif kind == "fail":
            found.append(("failed", number))
        elif kind == "cancel":
            found.append(("cancelled", None))
        elif kind == "any" or None in before or len(bad) > 1:
            found.append(None)
        elif bad:
            found.append(bad.pop())
        else:
            values = tuple(outcome[1] for outcome in before if outcome is not None)
            found.append(("done", values if kind == "all" else (number, *values)))
    return found


def build(nodes: list[Node], pool: ThreadPoolExecutor, gate: threading.Event) -> list[weft.Future[Any]]:
    made: list[Any] = []

    def leaf(number: int, fails: bool) -> int:
        gate.wait(PATIENCE)
        if fails:
            raise Broken(number)
        return number

    for number, (kind, inputs) in enumerate(nodes):
        before = [made[one] for one in inputs]
        if kind == "foreign":
            foreign: concurrent.futures.Future[int] = concurrent.futures.Future()
            foreign.set_result(number)
            made.append(weft.shared_future(foreign))
        elif kind == "then":
            made.append(before[0].then(lambda future, number=number: (number, future.result())))
        elif kind == "all":
            made.append(weft.when_all(before))
        elif kind == "any":
            made.append(weft.when_any(before))
        elif kind == "flow":
            made.append(weft.dataflow(lambda *values, number=number: (number, *values), *before))
        else:
            future = pool.submit(leaf, number, kind == "fail")
            made.append(future)
            if kind == "cancel" and not future.cancel():
                future = pool.submit(leaf, number, False)  # it has begun: another, behind it
                made[-1] = future
                while not future.cancel():
                    future = made[-1] = pool.submit(leaf, number, False)
    return made


def outcome_of(future: concurrent.futures.Future[Any]) -> Outcome:
    try:
        return "done", future.result(PATIENCE)
    except CancelledError:
        return "cancelled", None
    except Broken as error:
        return "failed", error.args[0]


@given(graphs(), st.booleans())
def test_a_graph_gives_what_its_nodes_give_in_order(nodes: list[Node], early: bool) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        blockers = [pool.submit(gate.wait, PATIENCE) for _ in range(2)]
        if early:
            threading.Timer(0.0005, gate.set).start()
        made = build(nodes, pool, gate)
        gate.set()
        for (kind, inputs), future, wanted in zip(nodes, made, reference(nodes), strict=True):
            outcome = outcome_of(future)
            if wanted is not None:
                assert outcome == wanted
            elif kind == "any":
                index, futures = outcome[1]
                assert futures == [made[one] for one in inputs]
                assert futures[index].done()
        assert all(blocker.result(PATIENCE) for blocker in blockers)


def test_random_graphs_built_by_many_threads_at_once(rng: random.Random) -> None:
    """All of one pool, each with the others' futures among its inputs; all of it settles."""
    seeds = [rng.random() for _ in range(4)]
    shared: list[Any] = [weft.ready_future(0)]
    with ThreadPoolExecutor(3) as pool:

        def grow(seed: float) -> list[Any]:
            chance = random.Random(seed)
            mine: list[Any] = []
            for _ in range(500):
                inputs = [chance.choice(shared) for _ in range(chance.randint(1, 4))]
                make: Callable[[], Any] = chance.choice(
                    [
                        lambda: pool.submit(int),
                        lambda inputs=inputs: inputs[0].then(lambda _: 1),
                        lambda inputs=inputs: weft.when_all(inputs),
                        lambda inputs=inputs: weft.when_any(inputs).then(lambda _: 2),
                        lambda inputs=inputs: weft.dataflow(lambda *_: 3, *inputs),
                    ]
                )
                future = make()
                if chance.random() < 0.02:
                    future.cancel()
                mine.append(future)
                shared.append(future)
            return mine

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            every = [future for mine in threads.map(grow, seeds) for future in mine]
        done = concurrent.futures.wait(every, PATIENCE)
        assert done.not_done == set()
        assert pool._stats()["queued"] == 0


# ---- races ------------------------------------------------------------------------------------------------


class Case:
    """One source that settles when its gate opens, and what is made of it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.gate = threading.Event()
        self.source: weft.Future[Any] = pool.submit(self.gate.wait, PATIENCE)
        self.following = self.source.then(lambda _: 1)
        self.every = weft.when_all(self.source, self.following)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_making_against_settling(pool: ThreadPoolExecutor) -> None:
    def check(case: Case, returned: list[Any]) -> None:
        assert returned[1].result(PATIENCE) == 7
        assert returned[2].result(PATIENCE) == (True, 1)
        assert returned[3].result(PATIENCE)[0] == 0
        assert case.every.result(PATIENCE) == (True, 1)

    race(
        lambda case: case.gate.set(),
        lambda case: case.source.then(lambda _: 7),
        lambda case: weft.when_all(case.source, case.following),
        lambda case: weft.when_any(case.source),
        setup=lambda: Case(pool),
        check=check,
    )


def test_cancelling_against_settling(pool: ThreadPoolExecutor) -> None:
    def check(case: Case, returned: list[Any]) -> None:
        assert case.source.result(PATIENCE) is True
        concurrent.futures.wait([case.following, case.every], PATIENCE)
        assert case.following.cancelled() == returned[1]
        assert case.following.cancelled() or case.following.result(0) == 1
        assert case.every.cancelled() == (returned[1] or returned[2])

    race(
        lambda case: case.gate.set(),
        lambda case: case.following.cancel(),
        lambda case: case.every.cancel(),
        setup=lambda: Case(pool),
        check=check,
    )


def test_closing_the_pool_against_then() -> None:
    """Run, on the pool that closes or on the default one; or refused: by `then`, or by what becomes of its future."""

    class Closing(Case):
        def __init__(self) -> None:
            self.pool = ThreadPoolExecutor(1)
            super().__init__(self.pool)
            self.gate.set()

    def check(case: Closing, returned: list[Any]) -> None:
        for made in returned[1:]:
            refusal = made if isinstance(made, RuntimeError) else made.exception(PATIENCE)
            if refusal is None:
                assert made.result(0) == 7
            else:
                assert str(refusal) == "cannot schedule new futures after shutdown"
        assert case.every.result(PATIENCE) == (True, 1)
        case.pool.shutdown()

    race(
        lambda case: case.pool.shutdown(wait=False),
        lambda case: case.source.then(lambda _: 7),
        lambda case: case.following.then(lambda _: 7),
        setup=Closing,
        check=check,
    )


def test_two_inputs_that_fail_at_once() -> None:
    class Two:
        def __init__(self) -> None:
            self.inputs: list[concurrent.futures.Future[Any]] = [concurrent.futures.Future() for _ in range(2)]
            self.every = weft.when_all(self.inputs)
            self.first = weft.when_any(self.inputs)
            self.call = weft.dataflow(lambda *values: values, *self.inputs)

    def check(case: Two, returned: list[Any]) -> None:
        numbers = {case.every.exception(PATIENCE).args[0], case.call.exception(PATIENCE).args[0]}  # type: ignore[union-attr]
        assert numbers <= {0, 1}
        assert case.first.result(PATIENCE)[0] in (0, 1)

    race(
        lambda case: case.inputs[0].set_exception(Broken(0)),
        lambda case: case.inputs[1].set_exception(Broken(1)),
        setup=Two,
        check=check,
    )


def test_sweeping_against_settling_and_adding() -> None:
    """What is taken off the stack while it settles is called all the same, once."""

    class Swept:
        def __init__(self) -> None:
            self.original: concurrent.futures.Future[int] = concurrent.futures.Future()
            self.long = weft.shared_future(self.original)
            self.called: list[int] = []
            for number in range(5):
                self.long.add_done_callback(lambda _, number=number: self.called.append(number))

        def compete(self) -> None:
            for _ in range(70):
                weft.when_any(self.long, weft.ready_future(1))

        def add(self) -> None:
            for number in range(5, 10):
                self.long.add_done_callback(lambda _, number=number: self.called.append(number))

    def check(case: Swept, returned: list[Any]) -> None:
        assert all(one is None for one in returned)
        assert case.long.result(PATIENCE) == 3
        assert sorted(case.called) == list(range(10))

    race(
        lambda case: case.original.set_result(3),
        Swept.compete,
        Swept.compete,
        Swept.add,
        setup=Swept,
        check=check,
    )
