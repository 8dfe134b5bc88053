"""What an `ImportError` says of an extension module that supports one interpreter for each process only.

`try_import` and `try_load` run in an interpreter that is made to find that out.
Pinned by tests/executors/test_isolation.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Problem = tuple[str, str | None, str, tuple[str, ...]]
    """Of what, which extension refused or None, what was raised, and the modules that led there."""

__all__ = ["EXPLAINED", "refusing_extension", "try_import", "try_load"]

EXPLAINED = (
    'its extension module {} does not support interpreters with a GIL of their own; use flavor="processes", or '
    '"threads", for what needs it'
)

_BEFORE, _AFTER = "module ", " does not support loading in subinterpreters"  # CPython's words
_LONGEST = 200  # characters of what an error says


def refusing_extension(error: BaseException | None) -> str | None:
    """The name of the extension module that refused, if that is what `error`, or what led to it, is about."""
    for each in _and_what_led_to_it(error):
        text = str(each)
        if isinstance(each, ImportError) and text.startswith(_BEFORE) and text.endswith(_AFTER):
            return text.removeprefix(_BEFORE).removesuffix(_AFTER)
    return None


def try_import(name: str) -> "Problem | None":
    """Imports a module; says what came of it, if that was an error."""
    return _attempt(name, lambda: __import__(name))


def try_load(definition: bytes) -> "Problem | None":
    """Makes the function that a worker would make of this; says what came of it, if that was an error."""
    from weft._payloads.working import load_function

    return _attempt("", lambda: load_function(definition))


def _attempt(name: str, do: "Callable[[], object]") -> "Problem | None":
    try:
        do()
    except BaseException as error:
        cause = error.__cause__ if not name and error.__cause__ is not None else error
        said = f"{type(cause).__name__}: {cause}".strip().partition("\n")[0]
        return name, refusing_extension(error), said[:_LONGEST], tuple(dict.fromkeys(_importing_modules(error)))
    return None


def _and_what_led_to_it(error: BaseException | None) -> "Iterator[BaseException]":
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _importing_modules(error: BaseException) -> "Iterator[str]":
    """The modules that were being imported when it was raised, the outermost first."""
    for each in _and_what_led_to_it(error):
        traceback = each.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_name == "<module>" and frame.f_globals.get("__spec__") is not None:
                yield frame.f_globals["__name__"]
            traceback = traceback.tb_next
