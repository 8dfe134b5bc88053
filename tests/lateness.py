"""Bounds on wall-clock time, which measure the machine as well as weft.

One late attempt says little on a machine that others use too; three in a row say that weft is slow. So whoever is
`Late` may try again (tests/conftest.py does that, for any test), and whatever else goes wrong counts at once. Where
more threads want to run than there are cores, whoever waits for one of them waits for its turn as well: the bounds, which
are those of a machine that has a core to spare, grow with the load, up to four times.
"""

import os

ATTEMPTS = 3
"""How often a test may be late before it fails."""


class Late(AssertionError):
    """Something took longer than it may."""


def crowding() -> float:
    """How many times longer things may take here and now: 1 on a machine with cores to spare, 4 at most."""
    try:
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1) - 1
    except OSError:  # not known here
        return 1.0
    return min(4.0, 1 + 2 * max(0.0, waiting))


def check_within(took: float, bound: float, what: object = "") -> None:
    """Raises `Late` unless it took at most `bound` (times `crowding`); both in seconds."""
    allowed = bound * crowding()
    if took > allowed:
        raise Late(f"took {took:.3f} s, may take {allowed:g} s; {what}")
