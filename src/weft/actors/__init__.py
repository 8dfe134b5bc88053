"""Actors: long-lived workers with state of their own, that never outlive the block that started them.

Each lives in an interpreter, a process or a thread; which, is a setting. It takes calls from its parent through a
portal, runs async functions as tasks and plain ones in a worker thread, and may have actors of its own. The extra
``actors`` brings anyio; it all works under asyncio and under trio.

Importing this module loads none of that: each name is looked up when it is first used.
Pinned by tests/actors/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.actors._identity import Actor, current_actor
    from weft.actors._nursery import ActorHealth, Nursery, open_nursery
    from weft.actors._portal import Portal
    from weft.actors._spawn import try_set_start_method
    from weft.actors._stream import Context, Stream

__all__ = [
    "Actor",
    "ActorHealth",
    "Context",
    "Nursery",
    "Portal",
    "Stream",
    "current_actor",
    "open_nursery",
    "try_set_start_method",
]

_HOMES = {
    "Actor": "_identity",
    "ActorHealth": "_nursery",
    "Context": "_stream",
    "Nursery": "_nursery",
    "Portal": "_portal",
    "Stream": "_stream",
    "current_actor": "_identity",
    "open_nursery": "_nursery",
    "try_set_start_method": "_spawn",
}

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'weft.actors' has no attribute {name!r}")
        from importlib import import_module

        try:
            value = getattr(import_module(f"weft.actors.{home}"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "anyio":
                raise
            from weft.errors import MissingDependency

            raise MissingDependency(extra="actors", package="anyio") from None
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
