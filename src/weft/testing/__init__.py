"""For the tests of programs that use weft: a fixture that fails tests which leave something, and a pytest plugin.

The plugin is there wherever weft is installed: ``--spawn-backend``, ``--weft-flavor``, the mark
``skipon_spawn_backend``, and the fixtures ``spawn_backend`` and ``weft_flavor``. pytest itself is imported when it is
needed, and is no dependency of weft's.

Importing this module, as the plugin does in every run of pytest, loads nothing: a name is looked up when it is used.
Pinned by tests/testing/.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from weft.testing._fixtures import resource_delta_fixture

__all__ = ["resource_delta_fixture"]

# Hidden from type checkers: they would take it as leave to accept any name at all.
if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'weft.testing' has no attribute {name!r}")
        from weft.testing import _fixtures

        globals()[name] = value = getattr(_fixtures, name)
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
