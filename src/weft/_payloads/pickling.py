"""The one pickler of both sides: protocol 5, its buffers out of band, and three kinds of object that pickle refuses.

- A C-contiguous memoryview goes as a buffer and comes out as a memoryview of the same format and shape.
- A function or class that no name leads to goes by value where cloudpickle is installed (references.py).
- What a pickle refers to in ``__main__`` runs that in a worker first, if it has not run (main_module.py).

The pickler keeps the last object that it was asked to reduce. Pickling goes depth first and stops at the first error,
so that is the culprit, and finding the path to it needs no second run of anybody's ``__reduce__``.

Any thread of any interpreter may call this; each call has a pickler of its own. Not `pickle`, which loads `re`, but
the C module under it. Not cloudpickle's pickler for all: it takes twice the time, and pickles by value what is
better found by name.
Pinned by tests/payloads/test_calls.py.
"""

from _io import BytesIO
from _pickle import PickleBuffer, Pickler, PicklingError, Unpickler, loads
from copyreg import dispatch_table

from weft._payloads.main_module import ALIAS, ensure_main, is_interruption, main_is_pending
from weft._payloads.references import FunctionType, dump_by_value, load_by_value, reference_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["PayloadPickler", "dump", "load"]

CONNECTIONS = "multiprocessing.connection"


class PayloadPickler(Pickler):
    """Remembers in ``last`` what it was about to reduce."""

    last: object = None

    def see(self, thing: object) -> None:
        self.last = thing
        if type(thing).__module__ == CONNECTIONS:
            refuse_connection(thing)

    def reducer_override(self, obj: object, /) -> "Any":
        self.last = obj
        kind = type(obj)
        if kind is FunctionType or issubclass(kind, type):
            return self.reduce_named(obj)
        if kind is memoryview:
            return reduce_memoryview(obj)
        if kind.__module__ == CONNECTIONS:
            refuse_connection(obj)
        if kind in dispatch_table and issubclass(kind, BaseException) and is_tblibs(dispatch_table[kind]):
            return obj.__reduce_ex__(4)
        return NotImplemented

    def reduce_named(self, thing: "Any") -> "Any":
        # Some types of builtins are not in that module: pickle knows them. A metaclass may have a way of its own.
        if reference_to(thing) is not None or thing.__module__ == "builtins" or type(thing) in dispatch_table:
            return NotImplemented
        buffers: list[PickleBuffer] = []
        data = dump_by_value(thing, self.see, buffers.append)
        return load_by_value, (data, *buffers)


def is_tblibs(reduce: "Any") -> bool:
    """Whether tblib, which distributed brings, pickles exceptions of a kind: it loses what a constructor has set."""
    return str(getattr(reduce, "__module__", "")).startswith("tblib.")


def refuse_connection(thing: object) -> None:
    raise PicklingError(f"a {type(thing).__name__} is the number of a descriptor, which is another one elsewhere")


def reduce_memoryview(view: "Any") -> "tuple[Any, ...]":
    if not view.c_contiguous:
        raise PicklingError("this memoryview is not C-contiguous; pass a copy of what it shows")
    one_row_of_none = view.ndim == 1 and view.nbytes == 0
    if view.nbytes == 0 and not one_row_of_none:
        raise PicklingError(f"a memoryview of shape {view.shape} holds nothing, and cannot be made anew")
    try:
        view.cast("B").cast(view.format)
    except (TypeError, ValueError) as error:
        message = f"a memoryview of format {view.format!r} cannot be made anew; pass the object that it is a view of"
        raise PicklingError(message) from error
    shape = None if one_row_of_none else view.shape
    return restore_memoryview, (PickleBuffer(view), view.format, shape)


def restore_memoryview(buffer: "Any", code: "Any", shape: "tuple[int, ...] | None") -> "Any":
    cast: Any = memoryview(buffer).cast("B").cast
    return cast(code) if shape is None else cast(code, shape)


def dump(
    thing: object, buffers: list[PickleBuffer] | None, kind: type[PayloadPickler] = PayloadPickler
) -> tuple[bytes | None, object, BaseException | None]:
    """Pickles one object.

    Args:
        thing: The object.
        buffers: Takes the buffers that go out of band; None keeps all in band.
        kind: The pickler.

    Returns:
        The bytes, or None and the object and the error at which it failed. An interruption, which is no
        object's fault, is raised.
    """
    file = BytesIO()
    pickler = kind(file, 5, buffer_callback=None if buffers is None else buffers.append)
    try:
        pickler.dump(thing)
    except BaseException as error:
        if is_interruption(error):
            raise
        return None, pickler.last, error
    return file.getvalue(), None, None


class _MainUnpickler(Unpickler):
    """Runs the caller's ``__main__`` when a pickle first refers to it."""

    def find_class(self, module_name: str, global_name: str, /) -> "Any":
        if module_name in ("__main__", ALIAS):
            ensure_main()
        return super().find_class(module_name, global_name)


def load(data: "bytes | memoryview", buffers: "Any" = ()) -> "Any":
    """Rebuilds one object; raises what rebuilding it raises."""
    if main_is_pending():
        return _MainUnpickler(BytesIO(data), buffers=buffers).load()
    return loads(data, buffers=buffers)
