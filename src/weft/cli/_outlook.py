"""What ``with weft.Run():`` would come to here, found without starting anything.

By the very table that `Run` decides by. Pinned by tests/cli/test_doctor.py, which compares it with what `Run` does.
"""

from weft._capabilities import capabilities
from weft._decisions import Decision
from weft._rules import Question, decide
from weft.config import RuntimeConfig, get_default_config

__all__ = ["outlook", "takes_gil_for_off"]


def outlook(config: RuntimeConfig | None = None) -> Decision:
    """The decision that `Run()` would take now.

    Args:
        config: The configuration that counts; by default that of the process.

    Raises:
        weft.errors.InvalidSetting: A variable of the environment has a value that cannot be.
    """
    config = get_default_config() if config is None else config
    found = capabilities()
    nogil = takes_gil_for_off(config)
    question = Question(
        requested="auto",
        config=config,
        several=found.cpus > 1 and config.max_workers != 1,
        nogil=nogil,
        interpreters=found.interpreters,
        interpreters_needs=found.interpreters_needs,
    )
    verdict = decide(question)
    return Decision(
        requested="auto",
        resolved=verdict.flavor,
        reason=verdict.reason,
        code=verdict.code,
        evidence={"gil_enabled": found.gil_enabled, "interpreters": found.interpreters, "cpus": found.cpus},
        max_workers=_workers(verdict.flavor, verdict.code, config.max_workers, found.cpu_count),
        thread_mode="nogil" if nogil else "gil",
    )


def takes_gil_for_off(config: RuntimeConfig) -> bool:
    """Whether decisions take it that threads run Python code side by side: they do, or the configuration says so."""
    return not capabilities().gil_enabled if config.thread_mode == "auto" else config.thread_mode == "nogil"


def _workers(flavor: str, code: str, said: int | None, cpus: int) -> int | None:
    if flavor == "serial":
        return 1
    if said is not None:
        return said
    return cpus if flavor == "processes" or code == "cpu_bound" else min(32, cpus + 4)
