"""For the tests of programs that use weft: a fixture that fails tests which leave something behind, and a pytest plugin.

The plugin is there wherever weft is installed: ``--spawn-backend``, ``--weft-flavor``, the mark
``skipon_spawn_backend``, and the fixtures ``spawn_backend`` and ``weft_flavor``. pytest itself is imported when it is
needed, and is no dependency of weft's.
Pinned by tests/testing/.
"""

from weft.testing._fixtures import resource_delta_fixture

__all__ = ["resource_delta_fixture"]
