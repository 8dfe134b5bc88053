"""Bounds on wall-clock time, which measure the machine as well as weft.

One late attempt says little on a machine that others use too; three in a row say that weft is slow. So whoever is
`Late` may try again (tests/conftest.py does that, for any test), and whatever else goes wrong counts at once.
"""

ATTEMPTS = 3
"""How often a test may be late before it fails."""


class Late(AssertionError):
    """Something took longer than it may."""


def check_within(took: float, bound: float, what: object = "") -> None:
    """Raises `Late` unless it took at most `bound`; both in seconds."""
    if took > bound:
        raise Late(f"took {took:.3f} s, may take {bound:g} s; {what}")
