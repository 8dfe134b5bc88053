"""Which object could not cross, and the expression that leads to it: ``args[1].config['sock']``.

Looked for only after a failure, and known by identity: the pickler tells the last object that it was asked to reduce
(pickling.py). So nothing has to be pickled again, and no ``__reduce__`` be run again, unless the culprit is of its
making; only then are ``__getstate__`` and ``__reduce_ex__`` of what holds it called, once each.

The search is bounded in time (`BUDGET`), whatever it searches: breadth first, so that the shortest path is found; not
into more than a few items of each container at first, then into more, then all; each object once, so that cycles end.
From 3.14 the error itself says where it came from, which leads past what was already pickled.

What is found is an expression: evaluated with ``args``, ``kwargs``, ``fn`` or ``result`` it gives the culprit.
Any thread may call this. It imports `weft.errors`, which workers do not have loaded until something fails.
Pinned by tests/payloads/test_culprits.py.
"""

# It looks into objects of any type, whose parts have no type that a checker could know.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
import sys
from ast import literal_eval
from collections import deque
from copyreg import dispatch_table
from functools import partial
from itertools import islice, repeat
from operator import indexOf, is_
from time import perf_counter
from types import FunctionType, MemberDescriptorType, MethodType

from weft._payloads.main_module import is_interruption
from weft._payloads.references import reference_to
from weft._payloads.remedies import remedy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from weft.errors import PayloadError

    # A child, and what stands before and after its holder in the expression that leads to it.
    type Edge = tuple[object, str, str]

__all__ = ["payload_error", "short"]

BUDGET = 0.05
"""Seconds to look for a path."""

FIRST_FEW = (32, 2048, sys.maxsize)
"""Into how many items of a container each pass looks."""

TOO_DEEP = 100
"""Levels of nesting after which a RecursionError is taken to come from nesting."""

LONGEST = 400
"""Characters of a path or a reason in a message."""

LEAVES = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, type(...), type(NotImplemented), range, slice}
)


class _Node:
    """An object on the way, and how it was come by."""

    __slots__ = ("after", "before", "depth", "holder", "value")

    def __init__(self, value: object, holder: "_Node | None", before: str, after: str) -> None:
        self.value = value
        self.holder = holder
        self.before = before
        self.after = after
        self.depth: int = 0 if holder is None else holder.depth + 1

    def path(self) -> str:
        path, node = "", self
        before: list[str] = []
        after: list[str] = []
        while node.holder is not None:
            before.append(node.before)
            after.append(node.after)
            node = node.holder
        path = node.after
        for left, right in zip(reversed(before), reversed(after), strict=True):
            path = left + path + right
        return path

    def values(self) -> "list[object]":
        """From the outermost holder to this."""
        return [*([] if self.holder is None else self.holder.values()), self.value]


def payload_error(
    error: BaseException,
    culprit: object,
    roots: "Mapping[str, object]",
    *,
    task: str | None = None,
    inherits: bool = False,
) -> "PayloadError":
    """The error to raise where something could not be pickled.

    Args:
        error: What pickling raised.
        culprit: What was to be pickled at that moment; None where that is not known.
        roots: Where to look for it, by the expression that stands for each.
        task: The name of the task, for the message.
        inherits: Whether it was pickled for a process that inherits; see remedies.py.
    """
    from weft.errors import MissingDependency, PayloadError

    who = "" if task is None else f" of task {task!r}"
    end = perf_counter() + BUDGET
    try:
        if isinstance(error, RecursionError) and (deep := _too_deep(roots, end)) is not None:
            message = f"{deep}{who} cannot be pickled: it is nested more than {TOO_DEEP} levels deep; flatten it"
            return PayloadError(message, path=deep, task=task)
        node = _find(roots, culprit, error, end)
    except BaseException as other:  # a container of the caller's that lies, or changes: no path, but still the error
        if is_interruption(other):
            raise
        node = None
    path = None if node is None else node.path()
    where = path or f"something in {', '.join(roots) or 'it'}"
    reason = short(error) if isinstance(error, MissingDependency) else f"{type(error).__name__}: {short(error)}"
    message = f"{_middle_out(where)}{who} cannot be pickled: {_middle_out(reason)}"
    if not isinstance(error, MissingDependency):
        message += f"; {remedy(culprit, [] if node is None else node.values(), error, inherits=inherits)}"
    return PayloadError(message, path=path, task=task)


def short(thing: object) -> str:
    """A bounded `str` of anything, also of what has none."""
    try:
        text = str(thing)
    except BaseException as error:
        if is_interruption(error):
            raise
        return f"<{type(thing).__name__} whose str raises {type(error).__name__}>"
    return _middle_out(text)


def _middle_out(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


# ---- the search ------------------------------------------------------------------------------------


def _find(roots: "Mapping[str, object]", culprit: object, error: BaseException, end: float) -> _Node | None:
    if culprit is None:
        return None
    starts = [_Node(value, None, "", name) for name, value in roots.items()]
    for start in starts:
        if _is_it(start.value, culprit):
            return start
    led = _follow_notes(starts, error, culprit)
    if led is not None and _is_it(led.value, culprit):
        return led
    for nodes in ([led] if led is not None else [], starts):
        for few in FIRST_FEW:
            node, complete = _search(nodes, culprit, few, end, run_code=False)
            if node is not None:
                return node
            if complete:
                break
        # What is made anew by each call is known by its type.
        node, _ = _search(nodes, culprit, FIRST_FEW[1], end, run_code=True)
        if node is not None:
            return node
    return led


def _is_it(value: object, culprit: "Any") -> bool:
    """Whether it is the culprit, or an object of that class: where a class cannot cross, nobody has mentioned it."""
    return value is culprit or type(value) is culprit


def _search(
    starts: "Iterable[_Node]", culprit: "Any", few: int, end: float, *, run_code: bool
) -> tuple[_Node | None, bool]:
    """Looks for an object, breadth first.

    Returns:
        The node, and whether everything was looked at.
    """
    nodes = deque(starts)
    seen = {id(node.value): node for node in nodes}  # keeps what was made on the way alive, so that no id comes again
    complete = True
    alike: _Node | None = None
    steps = 0
    while nodes:
        holder = nodes.popleft()
        children = _children(holder.value, run_code=run_code)
        for child, before, after in islice(children, few):
            if child is culprit or type(child) is culprit:
                return _Node(child, holder, before, after), True
            steps += 1
            if not steps & 255 and perf_counter() > end:
                return alike, False
            if id(child) in seen or type(child) in LEAVES:
                continue
            node = seen[id(child)] = _Node(child, holder, before, after)
            if run_code and alike is None and type(child) is type(culprit):
                alike = node
            nodes.append(node)
        if next(children, None) is not None:
            complete = False
            if few != FIRST_FEW[0] and (direct := _directly_in(holder, culprit, end)) is not None:
                return direct, True
    return alike, complete


def _directly_in(holder: _Node, culprit: object, end: float) -> _Node | None:
    """Looks through all items of a long list or tuple, at the speed of C."""
    value = holder.value
    if not isinstance(value, list | tuple):
        return None
    items = iter(_plainly_iterated(value))
    for begin in range(0, len(value), 65_536):
        if perf_counter() > end:
            return None
        try:
            index = begin + indexOf(map(is_, islice(items, 65_536), repeat(culprit)), True)
        except ValueError:  # not in this part
            continue
        return _Node(culprit, holder, "", f"[{index}]")
    return None


def _too_deep(roots: "Mapping[str, object]", end: float) -> str | None:
    """The root that is nested too deep; depth first, so that depth is what is found."""
    for name, value in roots.items():
        nodes = [_Node(value, None, "", name)]
        seen = {id(value)}
        steps = 0
        while nodes:
            holder = nodes.pop()
            if holder.depth > TOO_DEEP:
                return name
            for child, before, after in islice(_children(holder.value, run_code=False), FIRST_FEW[0]):
                steps += 1
                if not steps & 255 and perf_counter() > end:
                    return None
                if type(child) not in LEAVES and id(child) not in seen:
                    seen.add(id(child))
                    nodes.append(_Node(child, holder, before, after))
    return None


def _children(value: object, *, run_code: bool) -> "Iterator[Edge]":
    """What an object holds, as far as can be told without running the caller's code, or else with."""
    if isinstance(value, list | tuple | deque):
        items: Iterable[Any] = _plainly_iterated(value)
        for index, item in enumerate(items):
            yield item, "", f"[{index}]"
    elif isinstance(value, dict):
        yield from _of_dict(value)
    elif isinstance(value, set | frozenset):
        for index, item in enumerate(_plainly_iterated(value)):
            yield item, "list(", f")[{index}]"
    elif isinstance(value, FunctionType):
        if reference_to(value) is None:
            yield from _of_function(value)
        return
    elif isinstance(value, type):
        if reference_to(value) is None:
            for name, item in value.__dict__.items():
                yield item, "", f".__dict__[{name!r}]"
        return
    elif isinstance(value, MethodType):
        yield value.__self__, "", ".__self__"
        yield value.__func__, "", ".__func__"
    elif isinstance(value, partial):
        yield value.func, "", ".func"
        yield value.args, "", ".args"
        yield value.keywords, "", ".keywords"
    elif isinstance(value, BaseException):
        yield value.args, "", ".args"
    yield from _of_attributes(value)
    if run_code:
        yield from _of_state(value)


def _plainly_iterated(value: "Any") -> "Iterable[Any]":
    """Iterates a container as its builtin base does; a subclass may have other ideas."""
    bases: tuple[Any, ...] = (list, tuple, deque, set, frozenset)
    for base in bases:
        if isinstance(value, base):
            return base.__iter__(value)
    return ()


def _of_dict(value: "dict[Any, Any]") -> "Iterator[Edge]":
    for index, (key, item) in enumerate(dict.items(value)):
        if type(key) in LEAVES:
            yield item, "", f"[{key!r}]"
        else:
            yield item, "list(", f".values())[{index}]"
            yield key, "list(", f")[{index}]"
    factory = getattr(value, "default_factory", None)
    if factory is not None:
        yield factory, "", ".default_factory"


def _of_function(function: FunctionType) -> "Iterator[Edge]":
    for index, cell in enumerate(function.__closure__ or ()):
        try:
            yield cell.cell_contents, "", f".__closure__[{index}].cell_contents"
        except ValueError:  # empty yet
            continue
    for index, item in enumerate(function.__defaults__ or ()):
        yield item, "", f".__defaults__[{index}]"
    for name, item in (function.__kwdefaults__ or {}).items():
        yield item, "", f".__kwdefaults__[{name!r}]"
    for name, item in function.__dict__.items():
        yield item, "", f".__dict__[{name!r}]"
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, type(code))]
        for name in code.co_names:
            if name in function.__globals__:
                yield function.__globals__[name], "", f".__globals__[{name!r}]"


def _of_attributes(value: object) -> "Iterator[Edge]":
    kind = type(value)
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        attributes = None
    if isinstance(attributes, dict):
        for name, item in dict[object, object].items(attributes):
            plain = isinstance(name, str) and name.isidentifier() and not _is_hidden(kind, name)
            yield item, "", f".{name}" if plain else f".__dict__[{name!r}]"
    for base in kind.__mro__:
        for name, slot in base.__dict__.items():
            if type(slot) is MemberDescriptorType and name != "__dict__":
                try:
                    yield slot.__get__(value, kind), "", f".{name}"
                except AttributeError:  # empty
                    continue


def _is_hidden(kind: type, name: str) -> bool:
    """Whether the class has something of this name that comes before the attribute of an object."""
    if kind.__getattribute__ not in {object.__getattribute__, BaseException.__getattribute__}:
        return True
    for base in kind.__mro__:
        if name in base.__dict__:
            descriptor = type(base.__dict__[name])
            return hasattr(descriptor, "__set__") or hasattr(descriptor, "__delete__")
    return False


def _of_state(value: object) -> "Iterator[Edge]":
    """What an object says about itself when it is pickled, where it has a way of its own."""
    kind = type(value)
    reduce = dispatch_table.get(kind)
    try:
        if reduce is not None:
            module, name = getattr(reduce, "__module__", ""), getattr(reduce, "__qualname__", "")
            made: object = reduce(value)
            before, after = f"__import__({module!r}, fromlist=['']).{name}(", ")"
        elif kind.__getstate__ is not object.__getstate__:
            made, before, after = value.__getstate__(), "", ".__getstate__()"
        elif kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__:
            made, before, after = value.__reduce_ex__(5), "", ".__reduce_ex__(5)"
        elif isinstance(value, list | dict | tuple | set | frozenset) or kind.__module__ == "builtins":
            return
        else:
            made, before, after = value.__reduce_ex__(5), "", ".__reduce_ex__(5)"
    except BaseException as error:  # it did not when it was pickled, so it is not the culprit: leave it
        if is_interruption(error):
            raise
        return
    if not isinstance(made, str):
        yield made, before, after


# ---- what the error says ---------------------------------------------------------------------------

NOTE = re.compile(r"when serializing (\S+) (item|object|state)(?: (.*))?", re.DOTALL)


def _follow_notes(starts: list[_Node], error: BaseException, culprit: object) -> _Node | None:
    """As far as the notes lead that pickle puts on an error on its way out (3.14): the outermost is the last."""
    notes: list[Any] = list(getattr(error, "__notes__", ()))
    if not notes:
        return None
    notes.reverse()
    node: _Node | None = None
    if len(starts) == 1 and starts[0].after == "result":
        node = starts[0]
    else:
        # The call is a tuple: number, names of keyword arguments, values.
        match = NOTE.fullmatch(notes.pop(0))
        if match is None or match[1] != "tuple" or not (match[3] or "").isdecimal():
            return None
        index = int(match[3]) - 2
        if not 0 <= index < len(starts):
            return None
        node = starts[index]
    for note in notes:
        if _is_it(node.value, culprit):
            break
        match = NOTE.fullmatch(note) if isinstance(note, str) else None
        child = None if match is None else _follow(node, match[2], match[3])
        if child is None:
            break
        node = child
    return node


def _follow(node: _Node, what: str, which: str | None) -> _Node | None:
    value: Any = node.value
    if what == "object":
        return node
    if what == "state":
        # The default state is the dict of attributes, whose items the next note names.
        return node if type(value).__getstate__ is object.__getstate__ else None
    if which is None:
        return None
    if type(value) in {list, tuple}:
        index = int(which)
        return _Node(value[index], node, "", f"[{index}]")
    try:
        key = literal_eval(which)
    except (ValueError, SyntaxError):
        return None
    if type(value) is dict:
        return _Node(value[key], node, "", f"[{key!r}]") if key in value else None
    for item, before, after in _of_attributes(value):
        if after in {f".{key}", f".__dict__[{key!r}]"}:
            return _Node(item, node, before, after)
    return None
