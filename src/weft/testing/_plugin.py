"""The pytest plugin: options, a mark and two fixtures for tests that run by each spawn method, and on each flavor.

pytest loads this in every run of whoever has weft installed. So nothing is imported here but pytest, which is there;
parts of weft are when an option, the mark or a fixture asks for them. What is wrong with an option is one line of
usage error.
Pinned by tests/testing/test_plugin.py.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import pytest

__all__ = ["chosen_methods"]

_MARK = "skipon_spawn_backend"
_methods: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()
_flavor: pytest.StashKey[str] = pytest.StashKey()
_default: pytest.StashKey[Any] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """``--spawn-backend``, ``--weft-flavor``, and ``spawn_backends`` of the configuration file."""
    group = parser.getgroup("weft")
    group.addoption(
        "--spawn-backend",
        action="append",
        default=[],
        metavar="METHOD",
        help="start actors by this spawn method (several: METHOD,METHOD or the option again; all: all there are here): "
        "tests that take the fixture spawn_backend run by each, nurseries that say nothing use the first",
    )
    group.addoption(
        "--weft-flavor",
        default=None,
        metavar="FLAVOR",
        help="the flavor of weft.Run() where nothing else is said: threads, interpreters, processes, serial, none",
    )
    parser.addini(
        "spawn_backends",
        "spawn methods for tests that take the fixture spawn_backend, those that this Python lacks left out",
        type="args",
        default=[],
    )
    _leave_weft_as_it_is(pluginmanager)


def _leave_weft_as_it_is(pluginmanager: pytest.PytestPluginManager) -> None:
    """The assert statements of all packages that bring a plugin are rewritten; weft is to be tested as it runs."""
    rewritten: Any = getattr(pluginmanager.rewrite_hook, "_must_rewrite", None)  # not public, and may go
    if isinstance(rewritten, set):
        rewritten.discard("weft")  # pyright: ignore[reportUnknownMemberType]


def pytest_configure(config: pytest.Config) -> None:
    """Checks the options, and registers the mark."""
    config.addinivalue_line(
        "markers", f"{_MARK}(*names, reason): skip this test where actors are started by one of these spawn methods"
    )
    if words := config.getoption("spawn_backend"):
        config.stash[_methods] = _read_methods(words)
    if (flavor := config.getoption("weft_flavor")) is not None:
        _set_flavor(config, flavor)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Takes the default flavor back."""
    if _default in config.stash:
        from weft.config import set_default_config

        set_default_config(config.stash[_default])


def _read_methods(words: Iterable[str]) -> tuple[str, ...]:
    methods, lacks = _registry()
    found: list[str] = []
    for name in (name.strip() for word in words for name in word.split(",")):
        if name == "all":
            found += [method for method in methods if lacks(method) is None]
            continue
        if name not in methods:
            raise _usage("--spawn-backend", name, (*methods, "all"))
        needs = lacks(name)
        if needs is not None:
            raise pytest.UsageError(f"--spawn-backend={name}: not available here: it needs {needs}")
        found.append(name)
    return tuple(dict.fromkeys(found))


def _registry() -> tuple[tuple[str, ...], Any]:
    try:
        import anyio  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError:
        from weft.errors import MissingDependency

        raise pytest.UsageError(str(MissingDependency(extra="actors", package="anyio"))) from None
    from weft.actors._spawn import METHODS, lacks

    return METHODS, lacks


def _usage(setting: str, value: str, allowed: Iterable[str]) -> pytest.UsageError:
    from weft.errors import InvalidSetting

    return pytest.UsageError(str(InvalidSetting(setting=setting, value=value, allowed=tuple(allowed))))


def _set_flavor(config: pytest.Config, flavor: str) -> None:
    import dataclasses

    from weft import config as settings
    from weft._capabilities import flavor_needs

    if flavor not in settings.FLAVORS:
        raise _usage("--weft-flavor", flavor, settings.FLAVORS)
    if (needs := flavor_needs(flavor)) is not None:
        raise pytest.UsageError(f"--weft-flavor={flavor}: not available here: it needs {needs}")
    config.stash[_flavor] = flavor
    config.stash[_default] = settings._default  # pyright: ignore[reportPrivateUsage]
    settings.set_default_config(dataclasses.replace(settings.get_default_config(), flavor=flavor))  # pyright: ignore[reportArgumentType]


def chosen_methods(config: pytest.Config) -> tuple[str, ...] | None:
    """What ``--spawn-backend`` says; None if it says nothing."""
    return config.stash.get(_methods, None)


# ---- spawn methods -------------------------------------------------------------------------------------


@pytest.fixture
def spawn_backend(request: pytest.FixtureRequest) -> str:
    """The spawn method that this test is to start actors by, also the default of nurseries."""
    method: str = request.param
    return method


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``spawn_backend`` runs by each spawn method that was chosen."""
    if "spawn_backend" not in metafunc.fixturenames or _says_which(metafunc):
        return
    metafunc.parametrize("spawn_backend", _methods_of(metafunc.config), indirect=True)


def _says_which(metafunc: pytest.Metafunc) -> bool:
    marks = metafunc.definition.iter_markers("parametrize")
    return any("spawn_backend" in str(mark.args[0] if mark.args else mark.kwargs.get("argnames")) for mark in marks)


def _methods_of(config: pytest.Config) -> tuple[str, ...]:
    chosen = chosen_methods(config)
    if chosen is not None:
        return chosen
    methods, lacks = _registry()
    listed: list[str] = config.getini("spawn_backends")
    for name in listed:
        if name not in methods:
            raise _usage("spawn_backends", name, methods)
    here = tuple(name for name in listed if lacks(name) is None)
    return here or (_default_method(),)


def _default_method() -> str:
    from weft.actors._spawn import default_method

    return default_method()


def _method_of(item: pytest.Item) -> str | None:
    """The method that a test was told to use; None: it was told nothing."""
    told = getattr(getattr(item, "callspec", None), "params", {}).get("spawn_backend")
    if told is None and (chosen := chosen_methods(item.config)):
        told = chosen[0]
    return told


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses marks that name no spawn method."""
    for item in items:
        for mark in item.iter_markers(_MARK):
            methods, _ = _registry()
            if not mark.args or set(mark.kwargs) - {"reason"}:
                raise pytest.UsageError(f"{item.nodeid}: use @pytest.mark.{_MARK}(*names, reason=...)")
            for name in mark.args:
                if name not in methods:
                    raise pytest.UsageError(f"{item.nodeid}: {_usage(_MARK, name, methods)}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test whose mark says so."""
    for mark in item.iter_markers(_MARK):
        method = _method_of(item) or _default_method()
        if method in mark.args:
            reason = mark.kwargs.get("reason")
            pytest.skip(f"not by spawn method {method!r}" + (f": {reason}" if reason else ""))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Makes the method that the test was told the default of nurseries, while it runs."""
    method = _method_of(item)
    if method is None:
        return (yield)
    from weft.actors import _spawn

    before = _spawn._chosen  # pyright: ignore[reportPrivateUsage]
    _spawn.try_set_start_method(method)
    try:
        return (yield)
    finally:
        _spawn._chosen = before  # pyright: ignore[reportPrivateUsage]


# ---- flavors -------------------------------------------------------------------------------------------


@pytest.fixture
def weft_flavor(request: pytest.FixtureRequest) -> str:
    """What ``--weft-flavor`` says; ``auto`` if it says nothing."""
    return request.config.stash.get(_flavor, "auto")
