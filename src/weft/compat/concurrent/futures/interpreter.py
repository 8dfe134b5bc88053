"""`concurrent.futures.interpreter`, with weft's `InterpreterPoolExecutor`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures.interpreter import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary, reportMissingTypeStubs]

    from weft.executors import InterpreterPoolExecutor as InterpreterPoolExecutor
else:
    from weft.compat._stand_in import stand_in

    __getattr__, __dir__ = stand_in("concurrent.futures.interpreter")
    del stand_in
