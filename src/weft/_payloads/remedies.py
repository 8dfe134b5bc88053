"""What to do about an object that could not cross: the end of the message of culprits.py.

Pinned by tests/payloads/test_culprits.py and tests/executors/test_inherited.py.
"""

import sys
from io import IOBase
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["remedy"]

FACTORIES = {"Synchronized": "Value", "SynchronizedArray": "Array", "SynchronizedString": "Array"}
"""What makes objects of `multiprocessing` whose type has another name."""


def remedy(culprit: object, holders: "Sequence[object]", error: BaseException, *, inherits: bool) -> str:
    """What to do.

    Args:
        culprit: What could not be pickled; None where that is not known.
        holders: What leads to it, the outermost first and itself last, as far as that is known.
        error: What pickling raised.
        inherits: Whether it was pickled for a process that is being started, which inherits locks and the like.
    """
    things = [*holders, culprit]
    if inherits and "fork context" in str(error):
        return f'make it where processes are not forked: multiprocessing.get_context("spawn").{_factory(things)}()'
    if inherits and isinstance(error, OSError):
        return "what workers inherit has to stay open while the pool lives: each gets its copy when it starts"
    if not inherits and ("through inheritance" in str(error) or any(map(_can_be_inherited, things))):
        return "pass it as one of the `initargs` of a process pool, whose `initializer` keeps it in a global variable"
    if isinstance(culprit, FunctionType | type):
        return "move it to the top level of a module"
    if isinstance(culprit, ModuleType):
        return "import it inside the task"
    if isinstance(culprit, GeneratorType | CoroutineType | AsyncGeneratorType):
        return "pass what it yields, or make it inside the task"
    if isinstance(culprit, IOBase):
        return "pass its name, and open it inside the task"
    kind: type = type(culprit)
    if culprit is not None and any(
        isinstance(base.__dict__.get(name), FunctionType)
        for base in kind.__mro__
        for name in ("__reduce__", "__reduce_ex__", "__getstate__")
    ):
        return f"see to how {kind.__qualname__} is pickled (__reduce__, __getstate__), or leave it out"
    return "make it inside the task, or leave it out in the __getstate__ of what holds it"


def _factory(things: "Sequence[object]") -> str:
    """What the caller called to get the outermost object of `multiprocessing` among these."""
    kinds = [type(thing) for thing in things if type(thing).__module__.startswith("multiprocessing.")]
    return FACTORIES.get(kinds[0].__name__, kinds[0].__name__) if kinds else "Lock"


def _can_be_inherited(thing: object) -> bool:
    """Whether `multiprocessing` has a way to hand it to a process that it starts, and to no other."""
    reduction: Any = sys.modules.get("multiprocessing.reduction")
    return reduction is not None and not callable(thing) and type(thing) in reduction.ForkingPickler._extra_reducers
