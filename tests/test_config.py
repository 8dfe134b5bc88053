"""`weft.config`: what is refused and in which words, the environment, and which configuration counts."""

import contextvars
import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import weft
from weft.config import MAX_COUNT, RuntimeConfig, effective_config
from weft.errors import InvalidSetting


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for field in dataclasses.fields(RuntimeConfig):
        monkeypatch.delenv(f"WEFT_{field.name.upper()}", raising=False)
    yield
    weft.set_default_config(None)


def test_the_fields_are_those_of_the_contract() -> None:
    how = (
        "flavor executor max_workers thread_mode cpu_bound io_bound force_threads force_process "
        "prefers_subinterpreters auto inner_threads"
    )
    where, with_what = "backend", "cache callbacks retries timeout"
    expected = f"{how} {where} {with_what}".split()
    assert [field.name for field in dataclasses.fields(RuntimeConfig)] == expected


def test_frozen_and_picklable() -> None:
    config = RuntimeConfig(max_workers=3, cpu_bound=True, timeout=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_workers = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(RuntimeConfig(max_workers=3, cpu_bound=True, timeout=2.0))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("flavor", "thread", "did you mean 'threads'?"),
        ("flavor", None, "use one of 'auto'"),
        ("thread_mode", "no-gil", "did you mean 'nogil'?"),
        ("max_workers", 0, f"whole number from 1 to {MAX_COUNT}"),
        ("max_workers", -1, f"whole number from 1 to {MAX_COUNT}"),
        ("max_workers", 10**9, f"whole number from 1 to {MAX_COUNT}"),
        ("max_workers", True, f"whole number from 1 to {MAX_COUNT}"),
        ("max_workers", 2.0, f"whole number from 1 to {MAX_COUNT}"),
        ("max_workers", "4", f"whole number from 1 to {MAX_COUNT}"),
        ("inner_threads", 0, "whole number from 1"),
        ("retries", -1, "whole number from 0"),
        ("timeout", 0, "time in seconds, above 0"),
        ("timeout", float("nan"), "time in seconds, above 0"),
        ("timeout", float("inf"), "time in seconds, above 0"),
        ("timeout", "soon", "time in seconds, above 0"),
        ("timeout", 10**400, "time in seconds, above 0"),
        ("auto", 1, "give True or False"),
        ("force_threads", None, "give True or False"),
        ("cpu_bound", "yes", "give True, False or None"),
        ("executor", "pool", "concurrent.futures.Executor"),
        ("callbacks", 5, "tuple of callbacks"),
    ],
)
def test_a_wrong_value_is_refused_with_field_and_remedy(field: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        RuntimeConfig(**{field: value})
    assert caught.value.setting == field
    assert caught.value.value == repr(value)[:197] + ("..." if len(repr(value)) > 200 else "")
    assert field in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("force_threads", "force_process"), ("cpu_bound", "io_bound")])
def test_contradictions_are_refused(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both: dict[str, Any] = {one: True, other: True}
    with pytest.raises(InvalidSetting, match=f"{one} and {other}"):
        RuntimeConfig(**both)
    monkeypatch.setenv(f"WEFT_{one.upper()}", "1")
    monkeypatch.setenv(f"WEFT_{other.upper()}", "1")
    with pytest.raises(InvalidSetting, match=f"WEFT_{one.upper()} and WEFT_{other.upper()}"):
        RuntimeConfig.from_env()


def test_whole_numbers_of_other_kinds_are_taken() -> None:
    class Three:
        def __index__(self) -> int:
            return 3

    config = RuntimeConfig(max_workers=Three())  # type: ignore[arg-type]
    assert type(config.max_workers) is int
    assert config.max_workers == 3


def test_environment_sets_each_scalar_field() -> None:
    config = RuntimeConfig.from_env(
        {
            "WEFT_FLAVOR": "Serial",
            "WEFT_MAX_WORKERS": " 7 ",
            "WEFT_THREAD_MODE": "nogil",
            "WEFT_CPU_BOUND": "yes",
            "WEFT_IO_BOUND": "off",
            "WEFT_FORCE_THREADS": "1",
            "WEFT_FORCE_PROCESS": "0",
            "WEFT_PREFERS_SUBINTERPRETERS": "TRUE",
            "WEFT_AUTO": "no",
            "WEFT_INNER_THREADS": "2",
            "WEFT_RETRIES": "0",
            "WEFT_TIMEOUT": "1.5",
        }
    )
    assert config == RuntimeConfig(
        flavor="serial",
        max_workers=7,
        thread_mode="nogil",
        cpu_bound=True,
        io_bound=False,
        force_threads=True,
        prefers_subinterpreters=True,
        auto=False,
        inner_threads=2,
        timeout=1.5,
    )


def test_an_empty_environment_is_the_default() -> None:
    assert RuntimeConfig.from_env({}) == RuntimeConfig()
    assert RuntimeConfig.from_env({"WEFT_MAX_WORKERS": "", "WEFT_AUTO": "  "}) == RuntimeConfig()


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("WEFT_FLAVOR", "proceses", "did you mean 'processes'?"),
        ("WEFT_MAX_WORKERS", "many", "whole number from 1"),
        ("WEFT_MAX_WORKERS", "0", "whole number from 1"),
        ("WEFT_MAX_WORKERS", "2.5", "whole number from 1"),
        ("WEFT_THREAD_MODE", "free", "use one of 'auto', 'gil', 'nogil'"),
        ("WEFT_FORCE_THREADS", "ja", "use one of"),
        ("WEFT_TIMEOUT", "-1", "time in seconds"),
        ("WEFT_TIMEOUT", "soon", "time in seconds"),
        ("WEFT_RETRIES", "-1", "whole number from 0"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, text: str, says: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        RuntimeConfig.from_env({variable: text})
    assert caught.value.setting == variable
    assert str(caught.value).startswith(f"{variable}={text!r} (from the environment)")
    assert says in str(caught.value)


def test_most_specific_wins_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_MAX_WORKERS", "2")
    call, used, default = (RuntimeConfig(inner_threads=n) for n in (3, 4, 5))
    assert effective_config(None) == (RuntimeConfig(max_workers=2), "environment")
    assert weft.get_default_config().max_workers == 2
    weft.set_default_config(default)
    assert effective_config(None) == (default, "default")
    assert weft.get_default_config() is default
    with RuntimeConfig.use(used) as given:
        assert given is used
        assert effective_config(None) == (used, "use")
        assert effective_config(None)[0].max_workers is None  # nothing shines through
        assert effective_config(call) == (call, "call")
        with RuntimeConfig.use(call):
            assert effective_config(None)[0] is call
        assert effective_config(None)[0] is used
    assert effective_config(None)[0] is default


def test_use_ends_with_its_block_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), RuntimeConfig.use(RuntimeConfig(max_workers=9)):
        raise ZeroDivisionError
    assert effective_config(None)[1] == "environment"


def test_use_is_local_to_the_context() -> None:
    with RuntimeConfig.use(RuntimeConfig(max_workers=9)):
        inherited = contextvars.copy_context()
        assert contextvars.Context().run(effective_config, None)[1] == "environment"
    assert effective_config(None)[1] == "environment"
    assert inherited.run(effective_config, None)[1] == "use"


@pytest.mark.parametrize("wrong", [{"max_workers": 2}, "threads", 3])
def test_only_configurations_are_configurations(wrong: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"weft\.RuntimeConfig"):
        weft.set_default_config(wrong)
    with pytest.raises(InvalidSetting, match=r"weft\.RuntimeConfig"), RuntimeConfig.use(wrong):
        pass
