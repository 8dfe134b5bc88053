"""`concurrent.futures`, with weft's executors.

`ThreadPoolExecutor`, `ProcessPoolExecutor` and, from Python 3.14 on, `InterpreterPoolExecutor` are weft's. Every other
name is the original: weft's futures are instances of `Future`, which programs may still make and settle by hand; `wait`
and `as_completed` take both.
Pinned by tests/compat/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]

    from weft.executors import InterpreterPoolExecutor as InterpreterPoolExecutor
    from weft.executors import ProcessPoolExecutor as ProcessPoolExecutor
    from weft.executors import ThreadPoolExecutor as ThreadPoolExecutor
else:
    import concurrent.futures

    from weft.compat._stand_in import stand_in

    __all__ = concurrent.futures.__all__
    __getattr__, __dir__ = stand_in("concurrent.futures", "_base", "thread", "process", "interpreter")
    del concurrent, stand_in
