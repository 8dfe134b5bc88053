"""The mode, which is read once: whether weft's names are put in the place of the standard library's.

Pinned by tests/compat/test_names.py.
"""

import functools
import os

from weft.config import check_choice

VARIABLE = "WEFT_COMPAT_MODE"
MODES = ("managed", "passthrough")


@functools.cache
def is_managed() -> bool:
    """Whether the names are weft's; False where `WEFT_COMPAT_MODE` asks for the originals.

    Raises:
        weft.errors.InvalidSetting: The variable has a value that cannot be.
    """
    text = os.environ.get(VARIABLE, "").strip().lower() or MODES[0]
    return check_choice(VARIABLE, text, MODES, source="the environment") == MODES[0]
