"""What tests send to a worker: in a module that both sides can import."""

import contextvars
import threading
from dataclasses import dataclass
from typing import Any

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default="unset")
called_otherwise: contextvars.ContextVar[Any] = contextvars.ContextVar("not its name", default="unset")


@dataclass
class Config:
    config: Any
    other: Any = None


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


class Stateful:
    """Has a state of its own making."""

    def __init__(self, held: Any) -> None:
        self.secret = (held,)

    def __getstate__(self) -> Any:
        return {"made": [threading.Lock()]}


def give(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def same(value: Any) -> Any:
    return value


def read_variables() -> Any:
    return variable.get(), called_otherwise.get()


def doubled(view: memoryview) -> Any:
    assert isinstance(view, memoryview)
    return view.format, view.shape, view.readonly, view.tolist()


class Callable:
    """Has a state, so it goes along with each call."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


def lock() -> Any:
    return {"a": [threading.Lock()]}


# ---- errors --------------------------------------------------------------------------------------------


class WithOtherArguments(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason


class ThatChangesItsArguments(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"no {name}")
        self.name = name


class OfTheSystem(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "No such file", path)
        self.more = path


class WithItsOwnReduce(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__()
        self.one, self.two = one, two

    def __reduce__(self) -> Any:
        return type(self), (self.one, self.two)


class WithoutStr(Exception):
    def __str__(self) -> str:
        raise SystemExit("no str")

    __repr__ = __str__


class Saboteur(Exception):
    """Cannot be pickled, in the worst ways."""

    def __init__(self, what: str) -> None:
        super().__init__(what)

    def __reduce__(self) -> Any:
        return sabotage(self.args[0])


class MyGroup(ExceptionGroup[Exception]):
    def derive(self, excs: Any, /) -> "MyGroup":
        return MyGroup(self.message, excs)


def sabotage(how: str) -> Any:
    if how == "exit":
        raise SystemExit(3)
    if how == "recurse":
        return sabotage(how)
    if how == "nonsense":
        return 17
    raise ZeroDivisionError(how)


class Hostile:
    """Raises at a moment of choice: at pickling, or when it is rebuilt."""

    def __init__(self, moment: str, how: str) -> None:
        self.moment = moment
        self.how = how

    def __reduce__(self) -> Any:
        if self.moment == "pickle":
            return sabotage(self.how)
        return sabotage, (self.how,)

    def __repr__(self) -> str:
        raise SystemExit("no repr")

    __str__ = __repr__


def raise_with_saboteur(moment: str, how: str) -> None:
    raise ValueError(Hostile(moment, how))


def make_and_raise(kind: Any, *args: Any, **kwargs: Any) -> None:
    raise kind(*args, **kwargs)


def raise_it(error: BaseException, code: int) -> None:
    try:
        raise error
    finally:
        raise WithOtherArguments(code, reason="three")


def write_into(view: memoryview) -> int:
    view[0] = ord("A")
    return len(view)


def chain() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("while that") from OSError(2, "the cause", "file")
    except ValueError as error:
        error.add_note("a note")
        raise RuntimeError("at last")  # noqa: B904


def hidden() -> None:
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError("alone") from None


def circle() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


def local_class() -> None:
    class Local(Exception):
        pass

    raise Local("from here")


def unpicklable_attribute() -> None:
    error = ValueError("with a lock")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def group() -> None:
    bad = ValueError("bad")
    bad.lock = threading.Lock()  # type: ignore[attr-defined]
    inner = MyGroup("inner", [KeyError("k"), bad])
    inner.add_note("inside")
    try:
        raise OSError(5, "io")
    except OSError as error:
        raise ExceptionGroup("outer", [inner, WithOtherArguments(3, reason="three")]) from error


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise ValueError("x" * 1_000_000)
