"""`concurrent.futures._base`, as it is."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures._base import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]
else:
    from weft.compat._stand_in import stand_in

    __getattr__, __dir__ = stand_in("concurrent.futures._base")
    del stand_in
