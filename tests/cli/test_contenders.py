"""`weft.cli.demo.contenders`: each does the same job, in order, and leaves nothing behind."""

import sys

import pytest

from weft import observe_decisions
from weft.cli.demo.contenders import CONTENDERS, available_contenders, contender_named

ALL = frozenset({"threads", "auto", "processes", "interpreters"})


@pytest.mark.parametrize("name", [contender.name for contender in available_contenders(ALL)])
def test_maps_in_order(name: str) -> None:
    items = list(range(-20, 20))
    assert list(contender_named(name).map(abs, items, 2)) == [abs(item) for item in items]


@pytest.mark.parametrize("name", [contender.name for contender in available_contenders(ALL)])
def test_an_exception_arrives(name: str) -> None:
    with pytest.raises(ValueError, match="no number"):
        list(contender_named(name).map(int, ["1", "no number"], 2))


def test_the_baseline_is_always_there_and_first() -> None:
    assert available_contenders(frozenset())[0].name == "serial"
    assert [contender.name for contender in available_contenders(frozenset({"threads"}))] == [
        "serial",
        "threads",
        "stdlib threads",
    ]


def test_interpreters_only_where_there_are_some() -> None:
    names = {contender.name for contender in available_contenders(ALL)}
    assert ({"interpreters", "stdlib interpreters"} <= names) == (sys.version_info >= (3, 14))


def test_names_are_unique() -> None:
    assert len({contender.name for contender in CONTENDERS}) == len(CONTENDERS)


def test_auto_leaves_a_decision() -> None:
    with observe_decisions() as decisions:
        list(contender_named("auto").map(abs, [1], 2))
        list(contender_named("auto, cpu_bound").map(abs, [1], 2))
    assert {decision.requested for decision in decisions} == {"auto"}
    gil = sys._is_gil_enabled()
    computing = "threads" if not gil else "interpreters" if sys.version_info >= (3, 14) else "processes"
    assert (decisions[0].resolved, decisions[-1].resolved) == ("threads", computing)
