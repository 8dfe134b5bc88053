"""`Template`: where the workers of a process pool come from. See the package.

A pool with modules to preload has a template of its own, all others share one: `acquire` and `release` know which. A
template process is started when the first worker is asked for, and again when it was killed.

Any thread. After `os.fork` the child's templates start processes of the child's own.
Ends with `close`; one that is dropped, or lives at the interpreter's end (`weft.executors._ending`), lets its process
go without waiting.
Pinned by tests/executors/test_template.py and test_template_ends.py.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence

from weft import _core
from weft._live import Live
from weft._payloads.inner_threads import variables
from weft.errors import WorkerStartFailed
from weft.executors._template.process import TemplateDied, TemplateProcess, check_request
from weft.executors._template.worker_process import WorkerProcess

__all__ = ["Template", "acquire", "end_interpreter", "forget", "release"]

RUN = "weft._core:run_process_worker"
_REAPED_WITHIN = 1.0  # seconds from the end of a worker, as its pool sees it, to the template's report
_ATTEMPTS = 3  # whoever kills three in a row, each before it could answer, does not want any


class Template:
    """Starts worker processes.

    Args:
        preload: Names of modules that are imported once, and are there in every worker.
        run: ``module:function`` that a worker calls with its kind, its descriptors and its setup, and whose return is
            the worker's end.
        inner_threads: How many threads the libraries among them may use; 0: as many as they like.

    Attributes:
        preload: See the argument.
    """

    preload: tuple[str, ...]

    def __init__(self, preload: Sequence[str] = (), *, run: str = RUN, inner_threads: int = 0) -> None:
        self.preload = tuple(preload)
        self._environment = variables(inner_threads) if inner_threads else {}
        self._run = run
        self._lock = threading.Lock()
        self._process: TemplateProcess | None = None
        self._let_go: weakref.finalize[..., Template] | None = None
        self._closed = False
        _live.add(self)

    def start(self) -> None:
        """Starts the template process, if it does not run, without waiting: its first worker is there sooner.

        Raises:
            weft.errors.WorkerStartFailed: There is no interpreter, or no room for one.
        """
        self._running()

    def start_worker(
        self, numbers: Sequence[int], descriptors: Sequence[int], setup: bytes, handed: Sequence[int] = ()
    ) -> WorkerProcess:
        """Starts a worker, and waits until it exists.

        Args:
            numbers: The kind of its channel, then for each descriptor of that a number, -1 where there is none.
            descriptors: Those that there are, in that order. The worker gets copies; these stay the caller's.
            setup: What it is told.
            handed: More descriptors, which `setup` knows by their places in this list; copies, too.

        Returns:
            The worker. It runs until its function returns, it is killed, or the template is gone.

        Raises:
            weft.errors.InitializerFailed: A module to preload raised, which is `__cause__`.
            weft.errors.WorkerStartFailed: A process could not be started, and why.
            RuntimeError: The template was closed.
        """
        check_request(numbers, descriptors, handed)
        for _ in range(_ATTEMPTS):
            try:
                return self._running().start_worker(numbers, descriptors, setup, handed)
            except TemplateDied:
                if self._closed:
                    raise RuntimeError("the template was closed while a worker was asked for") from None
        raise WorkerStartFailed(
            why=f"the process that workers are forked from was killed {_ATTEMPTS} times in a row",
            remedy="is there memory for it?",
        )

    def _running(self) -> TemplateProcess:
        with self._lock:
            if self._closed:
                raise RuntimeError("the template is closed")
            if self._process is None or self._process.is_gone:
                # Isolated interpreters allow no daemon threads.
                process = TemplateProcess(
                    self.preload, self._run, self._environment, daemon=_core.in_main_interpreter()
                )
                if self._let_go is not None:
                    self._let_go.detach()
                self._let_go = weakref.finalize(self, process.leave)
                self._process = process
            return self._process

    @property
    def pid(self) -> int | None:
        """The process id of the template process; None where there is none now."""
        process = self._process
        return None if process is None or process.is_gone else process.pid

    def wait_idle(self, timeout: float = 0.0) -> bool:
        """Waits until it has no workers.

        Args:
            timeout: Seconds that the last of them may take to be reaped.

        Returns:
            Whether it has none.
        """
        process = self._process
        return process is None or process.is_gone or process.wait_idle(timeout)

    def close(self) -> None:
        """Ends the template process and kills its workers; returns when they are gone. There will be no other."""
        self._closed = True
        self.end_process()

    def end_process(self) -> None:
        """The same, but the next worker that is asked for has another template process started."""
        with self._lock:
            process, self._process = self._process, None
            if self._let_go is not None:
                self._let_go.detach()
        if process is not None:
            process.close()

    def leave(self) -> None:
        """Ends the template process and kills its workers, without waiting."""
        process = self._process
        if process is not None:
            process.leave()

    def after_fork_in_child(self) -> None:
        """The process is the parent's."""
        self._lock = threading.Lock()
        process, self._process = self._process, None
        if self._let_go is not None:
            self._let_go.detach()
        if process is not None:
            process.forget_in_child()


_live: Live[Template] = Live()
_lock = threading.Lock()
_shared: Template | None = None


def acquire(preload: Sequence[str] = (), *, inner_threads: int = 0) -> Template:
    """The template of a pool: one of its own if it has modules to preload, else the one of all others."""
    global _shared
    if preload:
        return Template(preload, inner_threads=inner_threads)
    with _lock:
        if _shared is None:
            _shared = Template()
        return _shared


def release(template: Template) -> None:
    """A pool has ended: closes a template that was its own, or has become that since it was let go."""
    if template.preload:
        template.close()
    elif template is not _shared and template.wait_idle():
        template.end_process()


def forget() -> None:
    """Lets go of the shared template, whose process ends if it has no workers. Pools that have it can still go on."""
    global _shared
    with _lock:
        template, _shared = _shared, None
    if template is not None and template.wait_idle(_REAPED_WITHIN):
        template.end_process()


def end_interpreter() -> None:
    """Pools have ended: lets all templates go. Where their threads are no daemons, the interpreter waits for them."""
    for template in _live.all():
        if _core.in_main_interpreter():
            template.leave()
        else:
            template.close()


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)
