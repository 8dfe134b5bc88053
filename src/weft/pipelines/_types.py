"""Whether what one node is annotated to give can be what another one is annotated to take.

Refuses what is certain to be wrong, and nothing else: a class that may turn out to be the other one at run time (a base
of it, a protocol, a type variable, an annotation that cannot be evaluated) passes.
Pinned by tests/pipelines/test_types.py.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["annotations_of", "can_be", "elements_of", "given_by", "shown"]

_TOWER: dict[type, tuple[type, ...]] = {bool: (int, float, complex), int: (float, complex), float: (complex,)}
_CALLABLE: Any = collections.abc.Callable
_YIELDING = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


def annotations_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """A function's annotations, evaluated; none where that fails."""
    try:
        return typing.get_type_hints(fn)
    except Exception:  # names that are only imported for type checkers, or syntax of a later Python
        return {}


def given_by(annotation: Any, kind: str) -> Any:
    """What a node gives whose function is annotated to return this: a list of what a generator yields."""
    if kind in ("generator", "async generator"):
        if typing.get_origin(annotation) not in _YIELDING:
            return list
        return list[typing.get_args(annotation)[0]]  # pyright: ignore[reportInvalidTypeArguments]
    return annotation


def elements_of(annotation: Any) -> Any:
    """What is in a sequence of this type; Any where it does not say."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and len(args) == 1:
        return args[0]
    return Any


def can_be(given: Any, wanted: Any) -> bool:
    """Whether a value annotated as the one may be one of the other."""
    given, wanted = _plain(given), _plain(wanted)
    given_members, wanted_members = _members(given), _members(wanted)
    if len(given_members) > 1 or len(wanted_members) > 1:
        return any(can_be(one, other) for one in given_members for other in wanted_members)
    if typing.get_origin(given) is typing.Literal:
        return any(_value_can_be(value, wanted) for value in typing.get_args(given))
    if typing.get_origin(wanted) is typing.Literal:
        return any(_value_can_be(value, given) for value in typing.get_args(wanted))
    one, other = _class_of(given), _class_of(wanted)
    if one is None or other is None:
        return True
    if not _classes_agree(one, other):
        return False
    return _arguments_agree(given, one, wanted, other)


def shown(annotation: Any) -> str:
    """An annotation as it is written."""
    return annotation.__name__ if type(annotation) is type else str(annotation).replace("typing.", "")


def _plain(annotation: Any) -> Any:
    """Without what says nothing about the value's class."""
    while True:
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing.TypeAliasType):
            annotation = annotation.__value__
        elif typing.get_origin(annotation) in (typing.Annotated, typing.Final, typing.ClassVar):
            annotation = typing.get_args(annotation)[0]
        else:
            return type(None) if annotation is None else annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _value_can_be(value: object, annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Literal:
        return value in typing.get_args(annotation)
    return can_be(type(value), annotation)


def _class_of(annotation: Any) -> type | None:
    """The class that values of it have; None where that is not known."""
    found = typing.get_origin(annotation) or annotation
    if not isinstance(found, type) or found in (object, type) or getattr(found, "_is_protocol", False):
        return None
    return None if found.__module__ == "typing" else found


def _classes_agree(one: type, other: type) -> bool:
    if other in _TOWER.get(one, ()):
        return True
    try:
        if issubclass(one, other) or issubclass(other, one):
            return True
    except TypeError:  # a class that refuses to be asked
        return True
    # Two interfaces, or an interface and a class that has subclasses, may meet in a third class.
    return _is_interface(one) and _is_interface(other)


def _is_interface(kind: type) -> bool:
    return bool(getattr(kind, "__abstractmethods__", None))


def _arguments_agree(given: Any, one: type, wanted: Any, other: type) -> bool:
    given_args, wanted_args = typing.get_args(given), typing.get_args(wanted)
    if not given_args or not wanted_args or _CALLABLE in (one, other):
        return True
    if one is tuple or other is tuple:
        if one is not other:
            return True
        if Ellipsis in given_args:
            return all(can_be(given_args[0], arg) for arg in wanted_args if arg is not Ellipsis)
        if Ellipsis in wanted_args:
            return all(can_be(arg, wanted_args[0]) for arg in given_args)
        return len(given_args) == len(wanted_args) and all(map(can_be, given_args, wanted_args))
    if len(given_args) != len(wanted_args) or not (issubclass(one, collections.abc.Iterable)):
        return True
    return all(map(can_be, given_args, wanted_args))
