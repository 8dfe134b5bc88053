"""asyncio, with thread pools of weft's as the default executors of its loops.

`run`, `Runner`, `new_event_loop` and `to_thread` are weft's (weft.compat._loops); every other name is asyncio's own
object, that of a submodule too: ``weft.compat.asyncio.events``.
Pinned by tests/compat/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]

    from weft.compat._loops import Runner as Runner
    from weft.compat._loops import new_event_loop as new_event_loop
    from weft.compat._loops import run as run
    from weft.compat._loops import to_thread as to_thread
else:
    import asyncio

    from weft.compat._stand_in import stand_in

    __all__ = asyncio.__all__
    __getattr__, __dir__ = stand_in("asyncio")
    del asyncio, stand_in
