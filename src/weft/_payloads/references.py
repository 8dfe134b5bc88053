"""By name or by value: how a function or class is known on the other side.

By name where its module and qualified name lead back to the very object, as pickle wants it too: then the other side
imports it. By value, with cloudpickle, where they do not: lambdas, closures, what is defined in a function, and
what is defined in a ``__main__`` that cannot be run again (main_module.py).

Any thread of any interpreter may call this. It is loaded by workers, so it imports nothing but C modules;
cloudpickle is imported when something has to go by value.
Pinned by tests/payloads/test_functions.py and tests/payloads/test_calls.py.
"""

import sys
from _pickle import PickleBuffer, loads

from weft._payloads.main_module import ALIAS, ensure_main, main_can_be_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["dump_by_value", "load_by_value", "look_up", "reference_to"]

FunctionType = type(lambda: None)


def reference_to(thing: object) -> str | None:
    """``module:qualified.name`` of a function, class or other named object, if that leads back to the very object."""
    try:
        name = getattr(thing, "__qualname__", None)
        module = getattr(thing, "__module__", None)
        if module is None:  # what a type of C defines: str.upper
            module = getattr(getattr(thing, "__objclass__", None), "__module__", None)
        if type(name) is not str or type(module) is not str:
            return None
        found: object = sys.modules[module]
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:  # a proxy, or a module with a `__getattr__` of its own: any code can be behind these
        return None
    if found is not thing:
        return None
    if module in ("__main__", ALIAS) and not (main_can_be_found() and _is_from_a_file(thing)):
        return None
    return f"{module}:{name}"


def _is_from_a_file(thing: object) -> bool:
    """False for what was typed at the prompt that ``python -i script.py`` ends with: the script does not have it."""
    code = getattr(thing, "__code__", None)
    return code is None or not code.co_filename.startswith("<")


def look_up(reference: str) -> object:
    """The object that a reference leads to, importing its module."""
    module, _, name = reference.partition(":")
    if module in ("__main__", ALIAS):
        ensure_main()
    if module not in sys.modules:
        __import__(module)
    found: object = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return found


def dump_by_value(
    thing: object, seen: "Callable[[object], None]", buffer_callback: "Callable[[PickleBuffer], Any] | None" = None
) -> bytes:
    """A function or class in bytes with all that it refers to, for `load_by_value`.

    Args:
        thing: The function or class.
        seen: Is told each object that is about to be pickled; the last one is where a failure comes from.
        buffer_callback: Takes the buffers that go out of band; None keeps all in band.

    Raises:
        MissingDependency: cloudpickle is not installed.
    """
    from io import BytesIO

    try:
        cloudpickle: Any = __import__("cloudpickle")
    except ImportError:
        raise _cloudpickle_is_missing(thing) from None

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj: "Any") -> "Any":
            seen(obj)
            return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

    file = BytesIO()
    Pickler(file, 5, buffer_callback=buffer_callback).dump(thing)
    return file.getvalue()


def _cloudpickle_is_missing(thing: object) -> BaseException:
    from weft.errors import MissingDependency

    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "<unnamed>")
    if module in ("__main__", ALIAS) and "<" not in name:
        why = "is defined in a __main__ that workers cannot import"
        how = "move it to a module of its own"
    else:
        why = "is not at the top level of its module"
        how = "move it there"
    return MissingDependency(
        f"{name} {why}, so it can only go to another interpreter or process by value, for which cloudpickle is not "
        f'installed; {how}, or run: pip install "weft[closures]"',
        extra="closures",
        package="cloudpickle",
    )


def load_by_value(data: bytes, *buffers: object) -> object:
    """The inverse of `dump_by_value`; also what pickles refer to."""
    return loads(data, buffers=buffers)
