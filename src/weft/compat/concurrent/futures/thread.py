"""`concurrent.futures.thread`, with weft's `ThreadPoolExecutor`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures.thread import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]

    from weft.executors import ThreadPoolExecutor as ThreadPoolExecutor
else:
    from weft.compat._stand_in import stand_in

    __getattr__, __dir__ = stand_in("concurrent.futures.thread")
    del stand_in
