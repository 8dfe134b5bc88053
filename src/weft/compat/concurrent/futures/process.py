"""`concurrent.futures.process`, with weft's `ProcessPoolExecutor`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures.process import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]

    from weft.executors import ProcessPoolExecutor as ProcessPoolExecutor
else:
    from weft.compat._stand_in import stand_in

    __getattr__, __dir__ = stand_in("concurrent.futures.process")
    del stand_in
