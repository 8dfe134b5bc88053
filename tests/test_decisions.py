"""`weft.Decision` and who is told. Invariant 9: what was decided can be read."""

import dataclasses
import json
import logging
import pickle
import threading

import pytest

import weft
from weft import _decisions
from weft._decisions import record


def decision(name: str = "x") -> weft.Decision:
    return weft.Decision(
        requested="auto", resolved="threads", reason="because", code="io_bound", evidence={"cpus": 2.0}, name=name
    )


def test_frozen_hashable_picklable() -> None:
    one = decision()
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.code = "other"  # type: ignore[misc]
    assert hash(one) == hash(decision())
    assert pickle.loads(pickle.dumps(one)) == one


def test_as_dict_is_plain_and_a_copy() -> None:
    one = decision()
    fields = one.as_dict()
    assert list(fields) == [field.name for field in dataclasses.fields(weft.Decision)]
    assert json.loads(json.dumps(fields)) == fields
    evidence = fields["evidence"]
    assert isinstance(evidence, dict)
    evidence["cpus"] = 99
    assert one.evidence == {"cpus": 2.0}


def test_str_is_for_people() -> None:
    assert str(decision()) == "Run 'x': auto -> threads [io_bound]: because"


def test_last_decision_and_reset() -> None:
    weft.reset()
    assert weft.last_decision() is None
    record(one := decision())
    assert weft.last_decision() is one
    weft.reset()
    assert weft.last_decision() is None


def test_listeners_hear_in_order_until_removed() -> None:
    heard: list[str] = []

    def first(one: weft.Decision) -> None:
        heard.append(f"first {one.name}")

    def second(one: weft.Decision) -> None:
        heard.append(f"second {one.name}")

    weft.add_decision_listener(first)
    weft.add_decision_listener(second)
    weft.add_decision_listener(first)  # once is enough
    try:
        record(decision("a"))
        weft.remove_decision_listener(first)
        record(decision("b"))
    finally:
        weft.remove_decision_listener(first)
        weft.remove_decision_listener(second)
    record(decision("c"))
    assert heard == ["first a", "second a", "second b"]


def test_bound_methods_can_be_removed() -> None:
    class Watcher:
        def __init__(self) -> None:
            self.count = 0

        def hear(self, _: weft.Decision) -> None:
            self.count += 1

    watcher = Watcher()
    weft.add_decision_listener(watcher.hear)
    weft.remove_decision_listener(watcher.hear)
    record(decision())
    assert watcher.count == 0


def test_a_listener_that_raises_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    def saboteur(_: weft.Decision) -> None:
        raise ZeroDivisionError("saboteur")

    weft.add_decision_listener(saboteur)
    try:
        with weft.observe_decisions() as seen, caplog.at_level(logging.ERROR, "weft.decisions"):
            record(decision())
    finally:
        weft.remove_decision_listener(saboteur)
    assert len(seen) == 1
    assert [entry.name for entry in caplog.records] == ["weft.decisions"]
    assert caplog.records[0].exc_info is not None
    assert "saboteur" in caplog.text


def test_ctrl_c_in_a_listener_is_not_swallowed() -> None:
    def interrupted(_: weft.Decision) -> None:
        raise KeyboardInterrupt

    weft.add_decision_listener(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            record(decision())
    finally:
        weft.remove_decision_listener(interrupted)


def test_a_listener_may_add_and_remove_listeners() -> None:
    heard: list[str] = []

    def once(one: weft.Decision) -> None:
        heard.append(str(one.name))
        weft.remove_decision_listener(once)
        weft.add_decision_listener(late)

    def late(one: weft.Decision) -> None:
        heard.append(f"late {one.name}")

    weft.add_decision_listener(once)
    try:
        record(decision("a"))
        record(decision("b"))
    finally:
        weft.remove_decision_listener(late)
    assert heard == ["a", "late b"]


def test_only_callables_listen() -> None:
    with pytest.raises(TypeError, match="listener"):
        weft.add_decision_listener(5)  # type: ignore[arg-type]


def test_observers_nest_and_end() -> None:
    with weft.observe_decisions() as outer:
        record(decision("a"))
        with weft.observe_decisions() as inner:
            record(decision("b"))
        record(decision("c"))
    record(decision("d"))
    assert [one.name for one in outer] == ["a", "b", "c"]
    assert [one.name for one in inner] == ["b"]
    assert _decisions._listeners == ()


def test_an_observer_ends_when_its_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), weft.observe_decisions():
        raise ZeroDivisionError
    assert _decisions._listeners == ()


def test_many_threads_decide_while_listeners_come_and_go() -> None:
    """From a barrier; on the free-threaded build really at once."""
    rounds, deciders, changers = 300, 4, 4
    barrier = threading.Barrier(deciders + changers)

    def decide(number: int) -> None:
        barrier.wait(10)
        for index in range(rounds):
            record(decision(f"{number}.{index}"))

    def change() -> None:
        def listener(_: weft.Decision) -> None:
            pass

        barrier.wait(10)
        for _ in range(rounds):
            weft.add_decision_listener(listener)
            weft.remove_decision_listener(listener)

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(deciders)]
    threads += [threading.Thread(target=change) for _ in range(changers)]
    with weft.observe_decisions() as seen:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # The observer was there all the time, so it has heard of each decision, once.
    assert sorted(str(one.name) for one in seen) == sorted(
        f"{number}.{index}" for number in range(deciders) for index in range(rounds)
    )
    assert _decisions._listeners == ()
