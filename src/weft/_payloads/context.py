"""Context variables: those of the caller's that another interpreter or process can have too.

A variable crosses if it is an attribute of an imported module, and its value can be pickled; others are left out, and
so are those of the standard library and of weft, which hold their own state (the decimal context, warning filters).
The other side imports the module where it must; where that fails, or the value cannot be rebuilt there, the variable
keeps its default. Nothing that a value does when it is pickled or rebuilt is an error of the task.

Any thread may call this. Where a variable lives is remembered; it is looked for again only when modules were added.
Workers load this only when a call brings variables along.
Pinned by tests/payloads/test_context.py.
"""

import sys
from marshal import dumps as dump_plain
from marshal import loads as load_plain

from weft._payloads.main_module import ALIAS, is_interruption, main_is_pending
from weft._payloads.pickling import dump, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Context, ContextVar
    from typing import Any

__all__ = ["apply_context", "pack_context"]

MOST = 1000
"""Variables whose place is remembered."""

# By variable: module and name, or the number of modules among which it was not found.
_homes: "dict[ContextVar[Any], tuple[str, str] | int]" = {}


def pack_context(context: "Context") -> bytes | None:
    """The variables of a context that can cross, or None if there are none."""
    packed: list[tuple[str, str, bytes]] = []
    for variable, value in context.items():
        home = _home_of(variable)
        if home is None:
            continue
        data, _, _ = dump(value, None)
        if data is not None:
            packed.append((*home, data))
    return dump_plain(packed) if packed else None


def apply_context(data: bytes) -> None:
    """Sets the variables that the caller packed, in the current context."""
    for module_name, name, pickled in load_plain(data):
        try:
            variable = _variable(module_name, name)
            if variable is not None:
                variable.set(load(pickled))
        except BaseException as error:
            if is_interruption(error):
                raise


def _variable(module_name: str, name: str) -> "ContextVar[Any] | None":
    # A task that has not needed the caller's __main__ cannot read its variables either.
    if module_name == "__main__" and main_is_pending():
        return None
    if module_name not in sys.modules:
        __import__(module_name)
    variable: Any = getattr(sys.modules[module_name], name)
    from contextvars import ContextVar

    return variable if issubclass(type(variable), ContextVar) else None


def _home_of(variable: "ContextVar[Any]") -> tuple[str, str] | None:
    """The module and name under which the other side can find a variable."""
    home = _homes.get(variable)
    if home is None or isinstance(home, int):
        modules = len(sys.modules)
        if home == modules:
            return None
        home = _search(variable)
        if len(_homes) >= MOST:  # somebody makes variables as they go, which this is not to keep alive for ever
            _homes.clear()
        _homes[variable] = home or modules
    return home


def _search(variable: "ContextVar[Any]") -> tuple[str, str] | None:
    modules = [
        (module_name, vars(module))
        for module_name, module in list(sys.modules.items())
        if isinstance(module, type(sys)) and not _keeps_its_own(module_name.partition(".")[0])
    ]
    # Most are called as their attribute is, which spares looking at everything.
    found = [(module, variable.name, names) for module, names in modules if names.get(variable.name) is variable]
    if not found:
        found = [
            (module, name, names)
            for module, names in modules
            for name, value in list(names.items())
            if value is variable
        ]
    if not found:
        return None
    module, name = found[0][:2] if len(found) == 1 else _where_it_was_made(found)
    return _as_workers_say(module), name


def _where_it_was_made(found: "list[tuple[str, str, dict[str, Any]]]") -> tuple[str, str]:
    """Of the modules that have a variable, the likeliest to have made it: the others may be dear to import.

    Who makes one has `ContextVar` at hand, and nothing that another of these modules has made.
    """
    import contextvars

    modules = [module for module, _, _ in found]

    def unlikely(place: "tuple[str, str, dict[str, Any]]") -> tuple[bool, bool]:
        module, _, names = place
        values = list(names.values())
        makes = any(value is contextvars or value is contextvars.ContextVar for value in values)
        made = [value.__module__ for value in values if type(value) is type or type(value) is type(_search)]
        return not makes, any(maker != module and maker in modules for maker in made)

    return min(found, key=unlikely)[:2]


def _keeps_its_own(package: str) -> bool:
    return package == "weft" or package in sys.stdlib_module_names


def _as_workers_say(module_name: str) -> str:
    return "__main__" if module_name == ALIAS else module_name
