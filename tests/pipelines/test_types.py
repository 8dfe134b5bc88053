"""Which annotations may meet: what is certain to be wrong is refused, and nothing else."""

import collections.abc as abc
import typing
from typing import Annotated, Any, Literal, NewType, Protocol, TypeVar

import pytest

from weft.pipelines import _types

Name = NewType("Name", str)
T = TypeVar("T")
type Numbers = list[int]


class Animal: ...


class Dog(Animal): ...


class Speaks(Protocol):
    def speak(self) -> str: ...


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, int),
        (int, Any),
        (Any, int),
        (int, object),
        (int, float),
        (bool, int),
        (Dog, Animal),
        (Animal, Dog),  # it may be one
        (int | None, int),
        (int, int | None),
        (int | str, str),
        (list[int], list[int]),
        (list[int], abc.Sequence[int]),
        (list[bool], abc.Iterable[int]),
        (list, list[int]),
        (dict[str, int], abc.Mapping[str, int]),
        (tuple[int, str], tuple[int, str]),
        (tuple[int, ...], tuple[int, int]),
        (Literal["a"], str),
        (str, Literal["a", "b"]),
        (Literal["a"], Literal["a", "b"]),
        (Annotated[int, "metres"], int),
        (Name, str),
        (T, str),
        (Dog, Speaks),
        (abc.Callable[[int], str], abc.Callable[..., str]),
        (Numbers, list[int]),
        (None, type(None)),
        (abc.Sized, abc.Iterable),
        ("a string that is no annotation", int),
    ],
)
def test_these_may_meet(given: Any, wanted: Any) -> None:
    assert _types.can_be(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, str),
        (str, int),
        (float, int),
        (Dog, str),
        (int | None, str),
        (None, int),
        (list[int], list[str]),
        (list[int], abc.Sequence[str]),
        (list[int], dict[int, int]),
        (tuple[int, str], tuple[str, int]),
        (tuple[int, int], tuple[int, int, int]),
        (tuple[int, ...], tuple[str, str]),
        (tuple[int, str], tuple[int, ...]),
        (Literal["a"], int),
        (Literal["a"], Literal["b"]),
        (int, Literal["a"]),
        (Annotated[int, "metres"], Annotated[str, "metres"]),
        (Name, int),
        (Numbers, list[str]),
        (dict[str, int], dict[str, list[int]]),
    ],
)
def test_these_never_do(given: Any, wanted: Any) -> None:
    assert not _types.can_be(given, wanted)


def test_a_generator_gives_a_list() -> None:
    assert _types.given_by(abc.Iterator[int], "generator") == list[int]
    assert _types.given_by(typing.AsyncIterator[str], "async generator") == list[str]
    assert _types.given_by(Any, "generator") is list
    assert _types.given_by(int, "plain") is int


def test_annotations_that_cannot_be_evaluated_say_nothing() -> None:
    def fn(x: "nowhere.Nothing") -> int: ...  # type: ignore[name-defined]  # noqa: F821

    assert _types.annotations_of(fn) == {}
