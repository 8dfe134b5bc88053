"""What an `ImportError` says of an extension module that supports one interpreter for each process only."""

__all__ = ["EXPLAINED", "refusing_extension"]

EXPLAINED = (
    'its extension module {} does not support interpreters with a GIL of their own; use flavor="processes", or '
    '"threads", for what needs it'
)

_BEFORE, _AFTER = "module ", " does not support loading in subinterpreters"  # CPython's words


def refusing_extension(error: BaseException | None) -> str | None:
    """The name of the extension module that refused, if that is what `error`, or what led to it, is about."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = str(error)
        if isinstance(error, ImportError) and text.startswith(_BEFORE) and text.endswith(_AFTER):
            return text.removeprefix(_BEFORE).removesuffix(_AFTER)
        error = error.__cause__ or error.__context__
    return None
