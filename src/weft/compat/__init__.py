"""Modules that stand for the standard library's, with weft's executors in them; and a way to run unchanged programs so.

`weft.compat.concurrent.futures` and `weft.compat.asyncio` have every name of the modules they are called for.
``WEFT_COMPAT_MODE=passthrough`` makes all of them the originals: a switch back that needs no change of code.
``python -m weft.compat script.py`` runs a program that knows nothing of weft with these in place.

Example:
    >>> import weft.compat.concurrent.futures as futures
    >>> with futures.ThreadPoolExecutor(2) as pool:
    ...     done, _ = futures.wait([pool.submit(pow, 2, 10)])
    >>> [future.result() for future in done]
    [1024]

Pinned by tests/compat/, and by CPython's own tests of the two modules.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.compat import asyncio, concurrent

__all__ = ["asyncio", "concurrent"]

if not TYPE_CHECKING:  # checkers would take it as leave to accept any name

    def __getattr__(name):
        if name in __all__:
            import importlib

            return importlib.import_module(f"weft.compat.{name}")
        raise AttributeError(f"module 'weft.compat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
