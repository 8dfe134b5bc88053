"""The rules by which `weft.Run` chooses where tasks run: one table, of which the first that applies counts.

Pure: a `Question` in, a `Verdict` out; no threads, no clock, no environment, nothing is started. So each
rule can be tested by itself, and what is written here is all that there is to know.

Reason codes are part of the public surface (`weft.Decision.code`): programs test them, docs/run.md lists
them. A rule may be added; a code is never given another meaning.

"auto" with nothing said about the tasks begins on threads, which start fastest and accept any function. What comes
after that is not a rule but a measurement: weft.executors._router.
Pinned by tests/test_run.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

from weft.config import RuntimeConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """All that a decision may be based on.

    Attributes:
        requested: The flavor that the caller asked for, "auto" included.
        config: The configuration that counts, with what the environment forces already in it.
        nogil: Whether threads run Python code side by side, really or by the configuration's word.
        interpreters: Whether this Python can have workers in sub-interpreters.
        interpreters_needs: What it would take, if not.
        given: The flavor of an executor handed in by the caller, else None.
        replayed: The flavor that a former decision came to, which the caller wants again, else None.
        configured: The flavor of the executor that the configuration brings, else None.
        parent: The flavor of an enclosing scope whose executor would do for this one, else None.
        watches: Whether there can be a thread that finds out where a function can go.
        several: Whether there is to be more than one worker, and more than one CPU for them.
    """

    requested: str
    config: RuntimeConfig
    nogil: bool
    interpreters: bool
    interpreters_needs: str | None = None
    given: str | None = None
    replayed: str | None = None
    configured: str | None = None
    parent: str | None = None
    watches: bool = True
    several: bool = True

    @property
    def wanted(self) -> str:
        """The one flavor that somebody named; "auto" if nobody did. The caller goes first."""
        for flavor in (self.requested, self.replayed, self.config.flavor):
            if flavor is not None and flavor != "auto":
                return flavor
        return "auto"

    @property
    def named_by_caller(self) -> bool:
        return self.requested != "auto" or self.replayed is not None

    @property
    def nothing_said(self) -> bool:
        """Whether nobody said anything about the tasks."""
        said = (self.config.cpu_bound, self.config.io_bound, self.config.prefers_subinterpreters)
        return not any(said)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a question came to: the flavor, and the code and words for why."""

    flavor: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: if it applies, its flavor is taken."""

    code: str
    applies: Callable[[Question], bool]
    flavor: Callable[[Question], str]
    reason: Callable[[Question], str]


def _threads(_: Question) -> str:
    return "threads"


def _processes(_: Question) -> str:
    return "processes"


RULES: tuple[Rule, ...] = (
    # The caller said where: an executor, or a flavor.
    Rule(
        "executor_given",
        lambda q: q.given is not None,
        lambda q: q.given or "other",
        lambda q: "the caller handed in an executor; it is used as it is, and left running",
    ),
    Rule(
        "default_pool",
        lambda q: q.requested == "none",
        _threads,
        lambda q: "flavor 'none' makes no pool: the process's default thread pool is used, and left running",
    ),
    # The environment, or the configuration, has the last word on whatever the caller left open.
    Rule(
        "force_threads",
        lambda q: not q.named_by_caller and q.config.force_threads,
        _threads,
        lambda q: "force_threads is set",
    ),
    Rule(
        "force_process",
        lambda q: not q.named_by_caller and q.config.force_process,
        _processes,
        lambda q: "force_process is set",
    ),
    Rule(
        "config_executor",
        lambda q: not q.named_by_caller and q.configured is not None,
        lambda q: q.configured or "other",
        lambda q: "the configuration brings an executor; it is used as it is, and left running",
    ),
    # A flavor by name.
    Rule(
        "interpreters_unavailable",
        lambda q: q.wanted == "interpreters" and not q.interpreters,
        _threads,
        lambda q: f"flavor 'interpreters' needs {q.interpreters_needs or 'another Python'}: threads instead",
    ),
    Rule(
        "flavor_requested",
        lambda q: q.requested != "auto",
        lambda q: q.requested,
        lambda q: f"the caller asked for flavor {q.requested!r}",
    ),
    Rule(
        "replayed",
        lambda q: q.replayed is not None,
        lambda q: q.replayed or "threads",
        lambda q: f"the caller asked to repeat a decision that came to {q.replayed!r}",
    ),
    Rule(
        "default_pool",
        lambda q: q.wanted == "none",
        _threads,
        lambda q: "the configuration says flavor 'none': the default thread pool is used, and left running",
    ),
    Rule(
        "config_flavor",
        lambda q: q.wanted != "auto",
        lambda q: q.wanted,
        lambda q: f"the configuration says flavor {q.wanted!r}",
    ),
    Rule(
        "auto_off",
        lambda q: not q.config.auto,
        _threads,
        lambda q: "the configuration turns automatic choice off: threads",
    ),
    # Nobody said where; perhaps something was said about the tasks, or about the surroundings.
    Rule(
        "nested",
        lambda q: q.parent is not None and q.nothing_said,
        lambda q: q.parent or "threads",
        lambda q: "nothing is said about the tasks, so they run where the enclosing scope's do",
    ),
    Rule(
        "prefers_interpreters",
        lambda q: bool(q.config.prefers_subinterpreters) and q.interpreters,
        lambda q: "interpreters",
        lambda q: "prefers_subinterpreters is set, and this Python has them",
    ),
    Rule(
        "free_threaded",
        lambda q: q.nogil,
        _threads,
        lambda q: "no GIL: threads run Python code side by side, and share objects",
    ),
    Rule(
        "cpu_bound",
        lambda q: bool(q.config.cpu_bound),
        lambda q: "interpreters" if q.interpreters and q.watches else "processes",
        lambda q: (
            "the tasks are said to compute, and threads of this Python would take turns at the GIL"
            + ("; a function that cannot go to interpreters goes to processes" if q.interpreters and q.watches else "")
        ),
    ),
    Rule(
        "io_bound",
        lambda q: bool(q.config.io_bound),
        _threads,
        lambda q: "the tasks are said to wait, and waiting threads let go of the GIL",
    ),
    Rule(
        "measuring",
        lambda q: q.several,
        _threads,
        lambda q: (
            "nothing is said about the tasks: they begin on threads; those that turn out to wait for the GIL move"
        ),
    ),
    Rule(
        "default_threads",
        lambda q: True,
        _threads,
        lambda q: "nothing is said about the tasks: threads start fastest and take any function",
    ),
)


def decide(question: Question) -> Verdict:
    """Answers a question by the first rule that applies."""
    rule = next(rule for rule in RULES if rule.applies(question))
    return Verdict(flavor=rule.flavor(question), code=rule.code, reason=rule.reason(question))
