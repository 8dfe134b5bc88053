"""Whether a function only reads a table, list or object that its module holds: judged by its source.

One watched call shows what that call does. This shows what another one might do: assign to an entry, call a method that
is not known to only read, or hand the thing on to who knows whom. Where a name leads to the same thing by another way
than an assignment in the function (an attribute, a container), nothing of that is seen.
Pinned by tests/executors/test_portable.py.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

__all__ = ["why_not_read"]

_READS = frozenset(
    (
        *("get", "keys", "values", "items", "index", "count", "copy", "isdisjoint", "issubset", "issuperset", "union"),
        *("intersection", "difference", "symmetric_difference", "decode", "hex", "find", "startswith", "endswith"),
        *("most_common", "elements", "total", "tobytes", "tolist", "as_dict", "_asdict", "sum", "mean", "std", "var"),
        *("min", "max", "dot", "astype", "argmax", "argmin", "any", "all", "searchsorted", "nonzero", "prod", "cumsum"),
    )
)
_TAKES = _READS | {"join", "extend", "update", "format", "difference_update", "intersection_update"}
_CHANGES = frozenset(
    (
        *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "add", "discard", "update"),
        *("setdefault", "popitem", "appendleft", "popleft", "extendleft", "rotate", "subtract", "move_to_end"),
    )
)
_READERS = frozenset(
    (
        *(
            "len",
            "sorted",
            "sum",
            "min",
            "max",
            "any",
            "all",
            "enumerate",
            "zip",
            "map",
            "filter",
            "list",
            "tuple",
            "set",
        ),
        *(
            "dict",
            "frozenset",
            "iter",
            "reversed",
            "isinstance",
            "bool",
            "repr",
            "str",
            "print",
            "bytes",
            "range",
            "int",
        ),
        *("float", "hash", "id", "type", "abs", "round", "getattr", "hasattr", "format", "callable", "ord", "chr"),
    )
)


def why_not_read(
    fn: FunctionType, name: str, value: object, *, deep: bool, settled: Callable[[object], bool]
) -> str | None:
    """Why it may be that a function changes a global that it names.

    Args:
        fn: The function.
        name: What the function calls the global: its name, or that of a module and its own.
        value: What it is.
        deep: Whether things that can be changed are in it.
        settled: Tells whether something cannot be changed.

    Returns:
        In words; None if it only reads.
    """
    node = _node_of(fn)
    if node is None:
        return f"uses {name!r}, which can change, and its source cannot be read"
    return next(_Reading(name, value, deep, settled).objections(node), None)


class _Reading:
    def __init__(self, name: str, value: object, deep: bool, settled: Callable[[object], bool]) -> None:
        self._name = name
        self._value = value
        self._deep = deep
        self._settled = settled
        self._names = {name}  # and the function's own names for it

    def objections(self, function: ast.AST) -> Iterator[str]:
        nodes = list(ast.walk(function))
        known = 0
        while known != len(self._names):  # `a = TABLE; b = a`
            known = len(self._names)
            for node in nodes:
                self._names |= self._other_names(node)
        for node in nodes:
            why = self._objection(node)
            if why is not None:
                yield f"{why} (line {getattr(node, 'lineno', '?')})"

    def _other_names(self, node: ast.AST) -> set[str]:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign) and self._is_it(node.value):
            targets = node.targets
        elif (
            isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None and self._is_it(node.value)
        ) or (
            self._deep
            and isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
            and any(self._root(part) in self._names for part in ast.walk(node.iter))
        ):
            targets = [node.target]
        return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}

    def _objection(self, node: ast.AST) -> str | None:
        changed = f"changes the global {self._name!r}"
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return changed if self._root(node) in self._names else None
        if isinstance(node, ast.AugAssign) and self._is_bare(node.target):
            return changed
        if not isinstance(node, ast.Call):
            return None
        called = node.func
        if self._is_bare(called):
            return f"calls the global {self._name!r}, which may change it"
        if isinstance(called, ast.Attribute) and called.attr not in _READS and self._is_it(called.value):
            if called.attr in _CHANGES:
                return changed
            return f"calls .{called.attr}() of the global {self._name!r}, which may change it"
        if isinstance(called, ast.Name) and called.id in _READERS and hasattr(builtins, called.id):
            return None
        if isinstance(called, ast.Attribute) and called.attr in _TAKES:
            return None
        for given in (*node.args, *(keyword.value for keyword in node.keywords)):
            if self._is_it(given) and (self._deep or not isinstance(given, ast.Starred)):
                return f"hands on the global {self._name!r}, which may be changed there"
        return None

    def _is_it(self, node: ast.AST) -> bool:
        """Whether an expression may give the thing, or something in it that can be changed."""
        if isinstance(node, ast.IfExp):
            return self._is_it(node.body) or self._is_it(node.orelse)
        if isinstance(node, ast.BoolOp):
            return any(map(self._is_it, node.values))
        if self._root(node) not in self._names:
            return False
        if self._is_bare(node):
            return True
        return self._deep and not self._leads_to_settled(node)

    def _is_bare(self, node: ast.AST) -> bool:
        """Whether an expression is a name of it, of a module's attribute too."""
        return isinstance(node, ast.Name | ast.Attribute) and _dotted(node) in self._names

    def _leads_to_settled(self, node: ast.AST) -> bool:
        """Whether it is attributes of the global, the last of which cannot be changed."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id != self._name:
            return False
        found = self._value
        for name in reversed(names):
            # Without running a property or a __getattr__ of anybody's.
            found: Any = inspect.getattr_static(found, name, self)
            if inspect.ismemberdescriptor(found):
                return False
        return found is not self and self._settled(found)

    def _root(self, node: ast.AST) -> str | None:
        """The name at the beginning of a chain of attributes, entries and methods that read."""
        while True:
            if isinstance(node, ast.Name):
                return node.id
            if self._is_bare(node):
                return _dotted(node)
            if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
                node = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _READS:
                node = node.func.value
            else:
                return None


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None


def _node_of(fn: FunctionType) -> ast.AST | None:
    """The function's source, parsed; of lambdas all those of the line, as nothing tells which of them it is."""
    code = fn.__code__
    source = "".join(linecache.getlines(code.co_filename, fn.__globals__))
    here = (code.co_name, code.co_firstlineno)
    found: list[Any] = [each.node for each in _functions_in(source) if (each.name, each.first_line) == here]
    return ast.Module(body=found, type_ignores=[]) if found else None


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    first_line: int
    node: ast.AST


@lru_cache(8)
def _functions_in(source: str) -> tuple[_Function, ...]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found: list[_Function] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.append(_Function("<lambda>", node.lineno, node))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.lineno, *(each.lineno for each in node.decorator_list))
            found.append(_Function(node.name, min(lines), node))
    return tuple(found)
