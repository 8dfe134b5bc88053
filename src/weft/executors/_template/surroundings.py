"""What a worker has from the caller's process, as a fresh interpreter started there at that moment would have it.

A template lives on while its caller changes folder or environment. So each request for a worker brings them along where
they are no longer what the template was started with.

`look` runs in the caller, any thread; `settle` in the template, and in a worker before anything else runs there.
Pinned by tests/executors/test_template.py.
"""

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The folder, the environment, sys.path, sys.argv: plain data, so that `marshal` can carry it.
    type Surroundings = tuple[str, dict[str, str], list[str], list[str]]

__all__ = ["look", "settle"]


def look() -> "Surroundings":
    """What they are now."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed; whoever is started here is in no folder either
        folder = ""
    path = [folder if entry == "" else entry for entry in sys.path if type(entry) is str]
    return folder, _environment(), path, [str(argument) for argument in getattr(sys, "argv", ())]


def _environment() -> dict[str, str]:
    while True:
        # The names first, then their values: another thread may delete one in between.
        with suppress(KeyError):
            return dict(os.environ)


def settle(surroundings: "Surroundings") -> None:
    """Makes this process have them."""
    folder, environment, path, arguments = surroundings
    if folder:
        with suppress(OSError):  # removed since: then here is as good as anywhere
            os.chdir(folder)
    if os.environ != environment:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
    sys.path[:] = path
    sys.argv = arguments
