"""`RuntimeConfig`: how, where and with what tasks run, as one frozen value; and where it is taken from.

Invariants:
- A configuration that exists is valid: every field is checked when it is made, and the error names the
  field (or the environment variable) and what to write instead.
- Most specific wins, whole: configurations are never merged field by field. In order: the one of the
  call, the one of the innermost ``with RuntimeConfig.use(...)``, the default, the environment.
- `use` is local to the context (`contextvars`): another thread or asyncio task sees it only if it runs in a
  copy of that context, as the tasks of weft's pools do. The default is process wide.

Plain data, no threads of its own; everything may be called from any thread on both builds: the default is
one reference, replaced whole.
Pinned by tests/test_config.py.
"""

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from operator import index
from typing import Any, Literal, cast, get_args

from weft.errors import InvalidSetting

__all__ = ["RuntimeConfig", "get_default_config", "set_default_config"]

Flavor = Literal["auto", "threads", "interpreters", "processes", "serial", "none"]
ThreadMode = Literal["auto", "gil", "nogil"]
Source = Literal["call", "use", "default", "environment"]

FLAVORS: tuple[str, ...] = get_args(Flavor)
THREAD_MODES: tuple[str, ...] = get_args(ThreadMode)

# More than any pool of weft takes: a mistake in the caller's arithmetic, for certain, and better refused here
# than by the operating system when the machine is already on its knees.
MAX_COUNT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """How, where and with what tasks run. Immutable, and valid if it exists.

    Attributes:
        flavor: The kind of worker; "auto" lets `weft.Run` decide by the fields below.
        executor: An executor to use as it is. `weft.Run` leaves it running.
        max_workers: How many workers, at most. None: by the CPUs that this process may use.
        thread_mode: "gil" or "nogil" to decide as if this Python had, or had not, a GIL; "auto" looks.
        cpu_bound: The tasks compute in Python. None: nothing said.
        io_bound: The tasks mostly wait. None: nothing said.
        force_threads: Where "auto" decides: threads, whatever else is said.
        force_process: Where "auto" decides: processes, whatever else is said.
        prefers_subinterpreters: Where "auto" decides: interpreters if this Python has them.
        auto: False turns the deciding off: "auto" then is threads.
        inner_threads: The bound for BLAS and OpenMP threads in each worker. None: not bounded.
        backend: Where a pipeline runs. None: on this machine.
        cache: Where a pipeline keeps results. None: it does not.
        callbacks: What a pipeline tells about its progress.
        retries: How many more times a node of a pipeline is tried.
        timeout: What one node of a pipeline may take, in seconds. None: as long as it likes.

    Raises:
        InvalidSetting: A field has a value that cannot be, or two fields contradict each other.

    Example:
        >>> from weft import RuntimeConfig
        >>> config = RuntimeConfig(cpu_bound=True, max_workers=4)
        >>> config.flavor, config.max_workers
        ('auto', 4)
    """

    flavor: Flavor = "auto"
    executor: Executor | None = None
    max_workers: int | None = None
    thread_mode: ThreadMode = "auto"
    cpu_bound: bool | None = None
    io_bound: bool | None = None
    force_threads: bool = False
    force_process: bool = False
    prefers_subinterpreters: bool | None = None
    auto: bool = True
    inner_threads: int | None = None
    backend: object | None = None
    cache: object | None = None
    callbacks: tuple[object, ...] = ()
    retries: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_choice("flavor", self.flavor, FLAVORS)
        check_choice("thread_mode", self.thread_mode, THREAD_MODES)
        # Integers of numpy and friends are welcome, and stored as what they mean.
        object.__setattr__(self, "max_workers", check_count("max_workers", self.max_workers))
        object.__setattr__(self, "inner_threads", check_count("inner_threads", self.inner_threads))
        object.__setattr__(self, "retries", check_count("retries", self.retries, least=0) or 0)
        object.__setattr__(self, "timeout", check_seconds("timeout", self.timeout))
        object.__setattr__(self, "callbacks", _check_callbacks(self.callbacks))
        check_executor("executor", self.executor)
        for name in ("force_threads", "force_process", "auto"):
            _check_flag(name, getattr(self, name))
        for name in ("cpu_bound", "io_bound", "prefers_subinterpreters"):
            if getattr(self, name) is not None:
                _check_flag(name, getattr(self, name), "True, False or None")
        _check_contradiction("force_threads", self.force_threads, "force_process", self.force_process)
        _check_contradiction("cpu_bound", self.cpu_bound, "io_bound", self.io_bound)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "RuntimeConfig":
        """Makes the configuration that the environment asks for.

        A variable that is empty or not set leaves its field at the default.

        Args:
            environ: The environment, by default that of the process.

        Returns:
            The configuration.

        Raises:
            InvalidSetting: A variable has a value that cannot be; the error names the variable.

        Example:
            >>> from weft import RuntimeConfig
            >>> RuntimeConfig.from_env({"WEFT_MAX_WORKERS": "4", "WEFT_CPU_BOUND": "yes"}).max_workers
            4
        """
        fields = read_environment(os.environ if environ is None else environ)
        for one, other in (("force_threads", "force_process"), ("cpu_bound", "io_bound")):
            _check_contradiction(_variable(one), fields.get(one), _variable(other), fields.get(other))
        return cls(**fields)

    @staticmethod
    @contextmanager
    def use(config: "RuntimeConfig") -> Generator["RuntimeConfig"]:
        """Makes a configuration the one that counts, for the block and what it calls.

        Local to the context: what runs in a copy of it (the tasks of weft's pools, asyncio tasks made in
        the block) sees it, others do not. It replaces the default whole, no field of that shines through.

        Args:
            config: The configuration.

        Yields:
            The same configuration.

        Raises:
            InvalidSetting: ``config`` is not a `RuntimeConfig`.

        Example:
            >>> from weft import Run, RuntimeConfig
            >>> with RuntimeConfig.use(RuntimeConfig(flavor="serial")), Run() as executor:
            ...     executor.submit(pow, 2, 10).result()
            1024
        """
        token = _used.set(check_config("config", config))
        try:
            yield config
        finally:
            _used.reset(token)


_used: ContextVar[RuntimeConfig | None] = ContextVar("weft.config.used", default=None)
_default: RuntimeConfig | None = None


def set_default_config(config: RuntimeConfig | None) -> None:
    """Sets the configuration that counts, process wide, where nothing more specific is said.

    Args:
        config: The configuration. None: that of the environment again.

    Raises:
        InvalidSetting: ``config`` is not a `RuntimeConfig`.

    Example:
        >>> from weft import RuntimeConfig, get_default_config, set_default_config
        >>> set_default_config(RuntimeConfig(max_workers=2))
        >>> get_default_config().max_workers
        2
        >>> set_default_config(None)
    """
    global _default
    _default = None if config is None else check_config("config", config)


def get_default_config() -> RuntimeConfig:
    """Gives the configuration that counts, process wide, where nothing more specific is said.

    Returns:
        The one last set with `set_default_config`; if none is, that of the environment as it is now.

    Raises:
        InvalidSetting: None is set, and an environment variable has a value that cannot be.

    Example:
        >>> from weft import get_default_config
        >>> get_default_config().auto
        True
    """
    default = _default  # read once: another thread may replace it between test and use
    return RuntimeConfig.from_env() if default is None else default


def effective_config(call: RuntimeConfig | None) -> tuple[RuntimeConfig, Source]:
    """The configuration that counts here and now, and where it is from. ``call``: the one of the call."""
    if call is not None:
        return call, "call"
    if (used := _used.get()) is not None:
        return used, "use"
    if (default := _default) is not None:
        return default, "default"
    return RuntimeConfig.from_env(), "environment"


def nothing_said() -> bool:
    """Whether neither `RuntimeConfig.use` nor a default nor the environment says anything here and now.

    For callers that are in a hurry: it costs a third of a microsecond, where reading the environment takes twenty.
    """
    return _used.get() is None and _default is None and _environment.isdisjoint(_KEYS)


# ---- the environment -------------------------------------------------------------------------------

_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


def _read_flag(variable: str, text: str) -> bool:
    if text.lower() in _ON:
        return True
    if text.lower() in _OFF:
        return False
    raise InvalidSetting(setting=variable, value=text, allowed=_ON + _OFF, source="the environment")


def _read_count(variable: str, text: str, least: int = 1) -> int | None:
    try:
        return check_count(variable, int(text), least=least)
    except ValueError:  # which an InvalidSetting is too; either way the text is shown as it is
        remedy = count_remedy(least)
        raise InvalidSetting(setting=variable, value=text, source="the environment", remedy=remedy) from None


def _read_seconds(variable: str, text: str) -> float | None:
    try:
        return check_seconds(variable, float(text))
    except ValueError:
        remedy = SECONDS_REMEDY
        raise InvalidSetting(setting=variable, value=text, source="the environment", remedy=remedy) from None


def _read_choice(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    return lambda variable, text: check_choice(variable, text.lower(), choices, source="the environment")


# Each scalar field can be set from the environment, as WEFT_ and its name in capitals.
_READERS: dict[str, Callable[[str, str], object]] = {
    "flavor": _read_choice(FLAVORS),
    "max_workers": _read_count,
    "thread_mode": _read_choice(THREAD_MODES),
    "cpu_bound": _read_flag,
    "io_bound": _read_flag,
    "force_threads": _read_flag,
    "force_process": _read_flag,
    "prefers_subinterpreters": _read_flag,
    "auto": _read_flag,
    "inner_threads": _read_count,
    "retries": lambda variable, text: _read_count(variable, text, least=0),
    "timeout": _read_seconds,
}


def _variable(field: str) -> str:
    return f"WEFT_{field.upper()}"


# The keys of the environment as they lie in there, looked up without encoding a name or copying a value. Where an
# implementation has no such table, the environment's own view serves.
_data: Any = getattr(os.environ, "_data", None)
_encode: Any = getattr(os.environ, "encodekey", str)
_environment: Any = os.environ.keys() if _data is None else _data.keys()
_KEYS: Any = frozenset(_variable(one) if _data is None else _encode(_variable(one)) for one in _READERS)


def variables() -> tuple[str, ...]:
    """The environment variables that set fields."""
    return tuple(map(_variable, _READERS))


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the environment sets, and only those, checked."""
    fields: dict[str, Any] = {}
    for field, read in _READERS.items():
        if text := environ.get(_variable(field), "").strip():
            fields[field] = read(_variable(field), text)
    return fields


# ---- checks, each of which names the setting and the remedy ------------------------------------------


def check_choice(setting: str, value: object, allowed: tuple[str, ...], source: str | None = None) -> str:
    """Refuses a value that is not one of a few words."""
    if not isinstance(value, str) or value not in allowed:
        raise InvalidSetting(setting=setting, value=value, allowed=allowed, source=source)
    return value


def count_remedy(least: int) -> str:
    """What to say to somebody who gave a wrong count."""
    remedy = f"give a whole number from {least} to {MAX_COUNT}"
    return f"{remedy}, or nothing to let weft choose" if least == 1 else remedy


SECONDS_REMEDY = "give a time in seconds, above 0, or nothing for no limit"


def check_count(setting: str, value: object, *, least: int = 1) -> int | None:
    """Refuses what is no whole number, or out of bounds; gives it as a plain `int`. None passes."""
    if value is None:
        return None
    try:
        # A bool is an int to Python, but never a count that somebody meant.
        number = -1 if isinstance(value, bool) else index(cast("int", value))
    except TypeError:
        number = -1
    if not least <= number <= MAX_COUNT:
        raise InvalidSetting(setting=setting, value=value, remedy=count_remedy(least))
    return number


def check_seconds(setting: str, value: object) -> float | None:
    """Refuses what is no positive, finite time in seconds. None passes."""
    if value is None:
        return None
    try:
        number = 0.0 if isinstance(value, (bool, str)) else float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not (isfinite(number) and number > 0):
        raise InvalidSetting(setting=setting, value=value, remedy=SECONDS_REMEDY)
    return number


def check_executor(setting: str, value: object) -> None:
    """Refuses what cannot be submitted to. None passes."""
    if value is not None and not (callable(getattr(value, "submit", None)) and not isinstance(value, type)):
        remedy = "give a concurrent.futures.Executor, such as weft.executors.ThreadPoolExecutor()"
        raise InvalidSetting(setting=setting, value=value, remedy=remedy)


def _check_flag(setting: str, value: object, words: str = "True or False") -> None:
    if not isinstance(value, bool):
        raise InvalidSetting(setting=setting, value=value, remedy=f"give {words}")


def _check_callbacks(value: object) -> tuple[object, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(cast("tuple[object, ...]", value))
    raise InvalidSetting(setting="callbacks", value=value, remedy="give a tuple of callbacks")


def _check_contradiction(one: str, one_is: object, other: str, other_is: object) -> None:
    if one_is and other_is:
        raise InvalidSetting(
            f"{one} and {other} are both set, and contradict each other: set one of them",
            setting=one,
            value=one_is,
        )


def check_config(setting: str, value: object) -> RuntimeConfig:
    """Refuses what is no configuration."""
    if not isinstance(value, RuntimeConfig):
        remedy = "give a weft.RuntimeConfig, such as RuntimeConfig(max_workers=4)"
        raise InvalidSetting(setting=setting, value=value, remedy=remedy)
    return value
