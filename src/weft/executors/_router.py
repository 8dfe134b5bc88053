"""Where each task of an adaptive executor runs: on its own thread, or in a worker that shares nothing with the caller.

The core calls every task through the router while there is something to learn, or somewhere else to send tasks to; in
between, the executor is a thread pool like any other, and asks again four times a second.

What moves a function. The threads together take about one CPU while several of them are at work, so they wait for the
GIL, and the function's calls are among what takes that CPU. (What they wait for a CPU because others have them counts
as if they had one, where the system tells: then they could take more.) That has gone on for as long as it takes to have
workers elsewhere, or is known to go on. It can go (`_portable`). Crossing, tried with one call's own arguments and
result, costs this interpreter less than half of what the call does; other calls that compute stand aside meanwhile.
Then its next calls are sent to a pool of interpreters, or of processes where it cannot go to those; the thread that was
to run one waits for it, so the future, its options and the order are what they were. A call that cannot cross is run
here; none is run twice.

Where somebody has said that the tasks compute, nothing is measured or watched: before a function's first call it is
found out where it can go, and all its calls go there.

What moves it back: crossing turns out to cost nearly as much as the calls did; its calls wait for something else than
the GIL, and more of them could do so at a time on threads; or fewer calls get done than before, and that is not because
these are larger ones: every other call of the next ones is run here, and the two are compared.

Any thread. A subject's numbers are written without a lock: they are estimates, and what they decide is decided once,
under the lock.
Pinned by tests/executors/test_adaptive.py.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter_ns, process_time_ns, thread_time_ns
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from weft import _core
from weft._locks import let_go
from weft._payloads import chunks
from weft._payloads.moved import there_and_back
from weft._payloads.seeds import run_seeded
from weft.errors import PayloadError
from weft.executors._map import items_to_come, run_chunk, run_one
from weft.executors._worker_threads import start_thread

if TYPE_CHECKING:
    from weft.executors._pool import PoolExecutor
    from weft.executors._portable import Around, Trial

__all__ = ["Move", "Router", "function_of"]

WORTH = 300_000
"""Nanoseconds of CPU below which a call is not worth moving, whatever crossing costs."""

MOST_CROSSING = 0.5  # of the CPU that a call takes here
_TOO_MUCH_CROSSING = 0.8
_ONE_CPU = 1.25  # CPUs that all threads together use, at most, where they wait for the GIL
_STARTING = 300_000_000  # nanoseconds from a function's first call on: a job that is done by then has saved that
_MUCH_LEFT = 1_000_000_000  # nanoseconds of CPU that calls which are known to come will take: that is not done soon
_AT_WORK = 1.4  # threads, at least; or tasks wait for one
_WINDOW = 64  # calls
_ENOUGH = 10_000_000  # nanoseconds that are looked at, at least
_FIRST_LOOK, _LATER_LOOK = 64, 24  # calls that go through the router before it is left out, unless it moves some
_LOOK_AGAIN = 0.25  # seconds
_STAND_ASIDE = 0.5  # seconds that a call waits, at most, for what is being tried
_MOST_SUBJECTS = 256
_CALLS_TO_JUDGE = 32  # of those sent away
_FIRST_CALLS = 8  # of those, of which some see no worker start
_WAITS = 3.0  # times the CPU that a call takes: the time of one that waits for something else than the GIL
_SECONDS_TO_JUDGE = 0.5  # by how many get done; twice in a row, as the first may see workers start
_SLOWER = 0.8  # of what got done on threads
_CALLS_TO_COMPARE = 24  # here, and as many there

# What `map` submits: here, and to workers that share nothing.
_REMOTE: dict[Any, Callable[..., Any]] = {run_chunk: chunks.run_chunk, run_one: chunks.run_one}

_logger = logging.getLogger("weft.run")


@dataclass(frozen=True, slots=True)
class Move:
    """What was found out about a function, and where its calls run from now on."""

    flavor: str
    code: str
    reason: str
    evidence: Mapping[str, object]


class _Comparison:
    """Calls of one function that are run here and away by turns, so that both get the same share of large ones."""

    __slots__ = ("away", "cpu_here", "here", "ready_here", "turns", "wall_away")

    def __init__(self) -> None:
        self.turns = itertools.count()
        self.here = 0
        self.away = 0
        self.cpu_here = 0  # nanoseconds, of all of them
        self.ready_here = 0  # with those in which others had the CPU, as those away have them in their time
        self.wall_away = 0

    def is_here(self) -> bool:
        """Whether the next call is one of those that run here."""
        return next(self.turns) % 2 == 0

    def rates(self, cpus: float, workers: int) -> tuple[float, float] | None:
        """Calls that get done in a second: here, with so many CPUs kept busy, and away. None: not known yet."""
        if self.here < _CALLS_TO_COMPARE or self.away < _CALLS_TO_COMPARE:
            return None
        return cpus * 1e9 * self.here / max(self.ready_here, 1), workers * 1e9 * self.away / max(self.wall_away, 1)


class _Subject:
    """A function, and what is known of its calls."""

    __slots__ = (
        "around",
        "away",
        "began",
        "calls",
        "comparison",
        "cpu",
        "crossing",
        "load",
        "name",
        "quickest",
        "rate",
        "refused",
        "sent",
        "settled",
        "slow",
        "window",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.cpu = 0.0  # nanoseconds of this interpreter's CPU that a call takes here
        self.crossing = 0.0  # the same for one that is sent away
        self.rate = 0.0  # calls in a second, by all threads, when it was moved
        self.began = perf_counter_ns()
        self.load = _Load()  # of the executor, when it was found to wait for the GIL
        self.settled = False  # nothing more is to be found out
        self.away: PoolExecutor | None = None
        self.around: Around | None = None  # what it found here, which workers have too
        self.sent = 0
        self.quickest = 0  # nanoseconds, of the first calls that were sent away
        self.window: tuple[int, int] = (0, 0)  # when it began, and `sent` then
        self.slow = 0  # windows
        self.comparison: _Comparison | None = None
        self.refused = 0

    def took(self, cpu: int) -> None:
        self.calls += 1
        self.cpu += (cpu - self.cpu) / min(self.calls, 8)


class _Load(NamedTuple):
    """What an executor's threads do.

    Attributes:
        at_work: How many are at work at a time.
        wanted: CPUs that they take together, or would if others had none of them.
        used: CPUs that they take.
        seconds: How long was looked at.
        by_all: CPUs that the whole process takes, with what is not measured: calls that have not ended, above all.
    """

    at_work: float = 0.0
    wanted: float = 0.0
    used: float = 0.0
    seconds: float = 0.0
    by_all: float = 0.0


class _Window:
    """The last calls that were measured, of all functions."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, int, int, int, int]] = deque(maxlen=_WINDOW)

    def add(self, began: int, ended: int, cpu: int, delay: int) -> None:
        self._calls.append((began, ended, cpu, delay, process_time_ns()))

    def load(self) -> _Load | None:
        """None: too little is known."""
        calls = list(self._calls)
        if len(calls) < 2:
            return None
        elapsed = max(ended for _, ended, *_ in calls) - min(began for began, *_ in calls)
        if elapsed < _ENOUGH:
            return None
        at_work = sum(ended - began for began, ended, *_ in calls) / elapsed
        used = sum(cpu for _, _, cpu, *_ in calls) / elapsed
        wanted = used + sum(delay for *_, delay, _ in calls) / elapsed
        since_first = calls[-1][1] - calls[0][1]  # from the end of one to the end of another
        by_all = (calls[-1][-1] - calls[0][-1]) / since_first if since_first >= _ENOUGH else 0.0
        return _Load(at_work, wanted, used, elapsed / 1e9, by_all)

    def clear(self) -> None:
        self._calls.clear()


def _waited_for_cpu() -> int:
    """Nanoseconds that this thread could have run and had no CPU; 0 where the system does not tell."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(file, 100).split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    finally:
        os.close(file)


class Router:
    """Runs the calls of an executor's tasks, here or away.

    Args:
        flavors: Where they may go, best first.
        make: Makes a pool of one of these flavors.
        tell: Is told what is found out.
        told: Somebody knows that the tasks compute: all of them go away, from the first one on, unmeasured.
    """

    def __init__(
        self,
        flavors: Sequence[str],
        make: Callable[[str], PoolExecutor],
        tell: Callable[[Move], object],
        *,
        told: bool = False,
    ) -> None:
        self._told = told
        self._choosing = threading.RLock()  # see weft._locks: what is routed may be interrupted here
        self._flavors = tuple(flavors)
        self._make = make
        self._tell = tell
        self._lock = threading.RLock()
        self._gate: threading.Lock | None = None  # shut while something is tried
        self._subjects: dict[object, _Subject] = {}
        self._window = _Window()
        self._pools: dict[str, PoolExecutor] = {}
        self._look = _FIRST_LOOK
        self._jobs: SimpleQueue[Callable[[], object] | PoolExecutor | None] = SimpleQueue()
        self._ended = False
        self._owner: weakref.ref[PoolExecutor] | None = None
        self._told_threads = False

    # ---- its own thread: tries things out, and has the executor ask again

    def start(self, owner: PoolExecutor) -> None:
        """Begins, for an executor whose router this is."""
        self._owner = weakref.ref(owner, lambda _: self._jobs.put(None))
        owner._route(self)
        self._thread = threading.Thread(target=self._work, name="weft-auto", daemon=True)
        try:
            start_thread(self._thread)
        except RuntimeError as error:  # no more threads: what is measured comes to nothing, tasks run all the same
            owner._route(None)
            _logger.debug("auto does without measuring: %s", error)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_LOOK_AGAIN)
            except Empty:
                self._look_again()
                continue
            if job is None:
                return
            if isinstance(job, _core.Pool):  # its last tasks may be away
                job._wait_left(None)
                for pool in self._pools.values():
                    pool.shutdown()
                return
            try:
                job()
            except Exception:
                _logger.exception("a function could not be tried elsewhere; it stays on threads")

    def _look_again(self) -> None:
        owner = None if self._owner is None else self._owner()
        if owner is not None and self._look <= 0 and owner._stats()["queued"]:
            self._look = _LATER_LOOK
            self._window.clear()
            owner._route(self)

    def end(self, owner: PoolExecutor, *, wait: bool) -> None:
        """The executor takes no more tasks: ends the pools that it has moved some to, after the last of them.

        Args:
            owner: The executor.
            wait: Return when that is done. The executor's own workers have left, then.
        """
        self._ended = True
        self._jobs.put(owner)
        if wait and self._thread.ident is not None:
            self._thread.join()

    # ---- calls, on the executor's threads

    def __call__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        subject = self._subject_of(fn, args)
        if self._told and subject is not None and not subject.settled:
            try:
                self._choose(subject, fn, args)
            except BaseException:
                self._let_go()
                raise
        if (gate := self._gate) is not None and subject is not None and subject.cpu >= WORTH:
            self._stand_aside(gate)
        if subject is None or subject.settled:
            if subject is not None and subject.away is not None:
                comparison = subject.comparison
                if comparison is not None and comparison.is_here():
                    return self._compare_here(subject, comparison, fn, args, kwargs)
                return self._send(subject, fn, args, kwargs)
            self._passed()
            return fn(*args, **kwargs)
        return self._measure(subject, fn, args, kwargs)

    def _let_go(self) -> None:
        let_go(self._choosing)
        let_go(self._lock)

    def _subject_of(self, fn: Any, args: tuple[Any, ...]) -> _Subject | None:
        function, _ = _inner(fn, args)
        function = function_of(function)
        key = getattr(function, "__code__", function)
        try:
            found = self._subjects.get(key)
        except TypeError:  # it cannot be hashed
            return None
        if found is None and len(self._subjects) < _MOST_SUBJECTS:
            name = getattr(function, "__qualname__", None) or type(function).__qualname__
            found = self._subjects.setdefault(key, _Subject(name))
        return found

    def _passed(self) -> None:
        """A call has gone through the router; if that goes on for nothing, it is left out."""
        self._look -= 1
        if self._look <= 0 and not self._told and not self._pools and self._gate is None:
            self._route(None)
            if self._gate is not None or self._look > 0:  # meanwhile something is tried, or to be looked at again
                self._route(self)

    def _route(self, router: Router | None) -> None:
        owner = None if self._owner is None else self._owner()
        if owner is not None:
            owner._route(router)

    def _shut(self) -> threading.Lock:
        """From now on calls that compute stand aside: see there. `_open` ends it."""
        gate = threading.Lock()
        gate.acquire()
        self._gate = gate
        self._route(self)  # another call may have had the router left out meanwhile: see `_passed`
        return gate

    def _open(self, gate: threading.Lock) -> None:
        if self._gate is gate:
            self._gate = None
        self._window.clear()  # in which threads stood aside
        gate.release()

    def _stand_aside(self, gate: threading.Lock) -> None:
        """Not to compute beside what is being tried, for a moment.

        That imports modules and makes workers, and gives the GIL away hundreds of times meanwhile: beside threads that
        compute, it gets it back after 5 ms for each of them, and takes seconds instead of a tenth of one.
        """
        if gate.acquire(timeout=_STAND_ASIDE):
            gate.release()
        elif self._gate is gate:  # that takes long; or who shut it was interrupted before anybody knew
            self._gate = None

    def _measure(self, subject: _Subject, fn: Any, args: Any, kwargs: Any) -> Any:
        trial: Trial | None = None
        gate: threading.Lock | None = None
        delay, began = _waited_for_cpu(), perf_counter_ns()
        if (
            subject.cpu >= WORTH
            and subject.calls >= 2
            and (began - subject.began >= _STARTING or self._cpu_left(subject, fn, args) >= _MUCH_LEFT)
            and self._waits_for_gil()
        ):
            try:
                trial = self._begin_trial(subject, fn, args, kwargs)
            except Exception as error:  # another thread changes what is looked at, above all
                self._stays(subject, "cannot_move", _not_seen(error))
            except BaseException:
                self._let_go()
                raise
            began = perf_counter_ns()
        cpu = thread_time_ns()
        try:
            if trial is not None:
                gate = self._shut()
            result = fn(*args, **kwargs)
        except BaseException:
            if trial is not None:
                subject.settled = False
            if gate is not None:
                self._open(gate)
            raise
        cpu = thread_time_ns() - cpu
        self._window.add(began, perf_counter_ns(), cpu, _waited_for_cpu() - delay)
        subject.took(cpu)
        if trial is not None and gate is not None:
            try:
                why_not = trial.ended(result, gives_nothing=_gives_nothing(fn, result))
            except Exception as error:
                why_not = _not_seen(error)
            if why_not is None:
                around = trial.around
                self._jobs.put(partial(self._try_alone, gate, subject, around, fn, args, kwargs, result))
            else:
                self._open(gate)
                self._stays(subject, "cannot_move", why_not)
        self._passed()
        return result

    def _cpu_left(self, subject: _Subject, fn: Any, args: tuple[Any, ...]) -> float:
        """Nanoseconds that tasks which wait, and items that maps have yet to submit, take if they are like this one."""
        owner = None if self._owner is None else self._owner()
        if owner is None:
            return 0.0
        items = max(len(args[1]), 1) if _is_chunk(fn) else 1
        return subject.cpu * (owner._stats()["queued"] + items_to_come(owner) / items)

    def _waits_for_gil(self) -> bool:
        load = self._window.load()
        if load is None:
            return False
        at_work, cpus, _, seconds, by_all = load
        owner = None if self._owner is None else self._owner()
        # A short call may hold the GIL from its begin to its end: then the others wait before they begin.
        wanted = at_work >= _AT_WORK or (owner is not None and self._several_here(owner))
        busy = cpus if self._pools else max(cpus, by_all)  # interpreters are this process's, too
        waits = wanted and busy >= 0.5 and cpus <= _ONE_CPU
        if not waits and not self._told_threads and wanted and at_work >= 1:
            self._told_threads = True
            self._tell(
                Move(
                    "threads",
                    "measured_threads",
                    f"{at_work:.1f} threads at work take {cpus:.2f} CPUs: they do not wait for the GIL",
                    {"threads_at_work": round(at_work, 2), "cpus_wanted": round(cpus, 2), "seconds": round(seconds, 4)},
                )
            )
        return waits

    def _several_here(self, owner: PoolExecutor) -> bool:
        """Whether tasks wait for threads of which several have one that runs here, and not away."""
        stats = owner._stats()
        away = 0
        for pool in list(self._pools.values()):
            there = pool._stats()
            away += there["queued"] + there["workers"] - there["sleeping"]
        return stats["queued"] > 0 and stats["workers"] - stats["sleeping"] - away >= 2

    def _begin_trial(self, subject: _Subject, fn: Any, args: Any, kwargs: Any) -> Trial | None:
        with self._lock:
            if subject.settled:
                return None
            subject.settled = True
            subject.load = self._window.load() or subject.load
        from weft.executors._portable import Trial  # most programs never come here

        inner, rest = _inner(fn, args)
        return Trial(inner, (*rest, kwargs))

    def _stays(self, subject: _Subject, code: str, why: str) -> None:
        self._tell(Move("threads", code, f"{subject.name}: {why}", self._evidence(subject)))

    def _evidence(self, subject: _Subject) -> dict[str, object]:
        load = subject.load
        return {
            "function": subject.name,
            "cpu_per_call": round(subject.cpu / 1e9, 7),
            "crossing_per_call": round(subject.crossing / 1e9, 7),
            "threads_at_work": round(load.at_work, 2),
            "cpus_wanted": round(load.wanted, 2),
            "cpus_used": round(load.used, 2),
            "calls_measured": subject.calls,
        }

    # ---- away

    def _try_alone(self, gate: threading.Lock, *what: Any) -> None:
        try:
            self._try_away(*what)
        finally:
            self._open(gate)

    def _try_away(self, subject: _Subject, around: Around, fn: Any, args: Any, kwargs: Any, result: Any) -> None:
        from weft._payloads.surroundings import likeness
        from weft.executors._portable import why_not_main

        inner, rest = _inner(fn, args)
        why_not = why_not_main((inner, rest, kwargs, result))
        if why_not is not None:
            self._stays(subject, "cannot_move", why_not)
            return
        why_not = "there is nowhere else to run it"
        for flavor in self._flavors:
            try:
                pool = self._pool(flavor)
                parcel = (there_and_back, inner, (rest, kwargs), _portable_result(fn, result))
                # The first worker starts, and imports what it needs.
                there = pool.submit(likeness, *around.question).result()
                pool.submit(*parcel).result()
                before = thread_time_ns()
                for _ in range(2):
                    pool.submit(*parcel).result()
                    around.changed()
                subject.crossing = (thread_time_ns() - before) / 2
            except Exception as error:
                why_not = f"in {flavor}: {type(error).__name__}: {error}"
                continue
            differs, changed = around.why_not_there(there), around.changed()
            if differs is not None or changed is not None:
                why_not = differs or f"it uses {changed}, which has changed since it was looked at"
                break
            if subject.crossing > MOST_CROSSING * subject.cpu:
                why_not = (
                    f"a task takes {subject.cpu / 1e6:.2f} ms, and crossing to {flavor} and back "
                    f"{subject.crossing / 1e6:.2f} ms of it"
                )
                break
            subject.around = around
            self._move(subject, flavor, pool)
            return
        self._stays(subject, "cannot_move", why_not)

    def _choose(self, subject: _Subject, fn: Any, args: Any) -> None:
        """Somebody has said that the tasks compute: where this function's go, before the first of them runs."""
        from weft._payloads.isolation import refusing_extension
        from weft._payloads.surroundings import likeness
        from weft.executors._portable import around, why_not_main

        with self._choosing:  # which the others that are to run it wait for
            if subject.settled:
                return
            inner, _ = _inner(fn, args)
            evidence: dict[str, object] = {"function": subject.name}
            refused = why_not_main(inner)
            for flavor in self._flavors if refused is None else ():
                try:
                    pool = self._pool(flavor)
                    pool.submit(likeness, *around(inner).question).result()
                except Exception as error:
                    extension = refusing_extension(error)
                    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                    refused = f"it cannot go to {flavor}: {said if extension is None else f'{extension} refuses'}"
                    evidence[f"{flavor}_refused"] = refused
                    continue
                also = "" if refused is None else f"; {refused}"
                said = f"{subject.name} is said to compute, and {flavor} run Python side by side{also}"
                self._tell(Move(flavor, "cpu_bound", said, evidence))
                subject.away = pool
                subject.settled = True
                return
            subject.settled = True
            self._tell(Move("threads", "cannot_move", f"{subject.name}: {refused}", evidence))

    def _pool(self, flavor: str) -> PoolExecutor:
        with self._lock:
            if self._ended:
                raise RuntimeError("the executor has ended")
            pool = self._pools.get(flavor)
        if pool is None:
            pool = self._make(flavor)
            with self._lock:
                self._pools[flavor] = pool
        return pool

    def _move(self, subject: _Subject, flavor: str, pool: PoolExecutor) -> None:
        cpus = max(subject.load.used, 0.1)
        subject.rate = cpus * 1e9 / max(subject.cpu, 1.0)
        reason = (
            f"{subject.name} takes {subject.cpu / 1e6:.2f} ms of CPU a task, and the threads together take no more "
            f"than {subject.load.wanted:.2f} CPUs: they wait for the GIL. Crossing to {flavor} costs "
            f"{subject.crossing / 1e6:.2f} ms"
        )
        self._tell(Move(flavor, "measured_gil_bound", reason, self._evidence(subject)))
        subject.window = (perf_counter_ns(), 0)
        subject.away = pool
        self._route(self)

    def _send(self, subject: _Subject, fn: Any, args: Any, kwargs: Any) -> Any:
        around, pool = subject.around, subject.away  # when it comes back, the pool goes first
        if pool is None:  # it came back this moment
            return fn(*args, **kwargs)
        began, cpu = perf_counter_ns(), thread_time_ns()
        changed = None if around is None else around.changed()
        if changed is not None:
            self._move_back(subject, f"{changed} has changed, which workers do not see")
            return fn(*args, **kwargs)
        try:
            future: _core.Future[Any] = pool.submit(_REMOTE[fn] if _is_chunk(fn) else fn, *args, **kwargs)
        except (PayloadError, RuntimeError):  # this call cannot cross; or the pool is broken, or ends
            return self._run_here(subject, fn, args, kwargs)
        queued = pool._queued()
        try:
            _core.wait_in_place(future)
        except BaseException as error:
            if not future.cancel():
                future.interrupt(type(error))
            raise
        error = future.exception()
        if isinstance(error, PayloadError) and not error.ran:
            return self._run_here(subject, fn, args, kwargs)
        if not self._told:
            # More threads send than there are workers: what a call waits for others is no time of its own.
            turns = 1 + queued / pool.max_workers
            self._judge(subject, round((perf_counter_ns() - began) / turns), thread_time_ns() - cpu)
        return future.result()

    def _run_here(self, subject: _Subject, fn: Any, args: Any, kwargs: Any) -> Any:
        subject.refused += 1
        if not self._told and subject.refused >= 4 and subject.refused * 4 > subject.sent:
            self._move_back(subject, f"{subject.refused} calls could not cross")
        return fn(*args, **kwargs)

    def _judge(self, subject: _Subject, wall: int, crossing: int) -> None:
        subject.sent += 1
        subject.crossing += (crossing - subject.crossing) / 8
        if subject.sent <= _FIRST_CALLS:
            subject.quickest = min(wall, subject.quickest or wall)
            if subject.sent == _FIRST_CALLS and subject.quickest > _WAITS * subject.cpu and self._fewer_away(subject):
                self._move_back(
                    subject,
                    f"a task takes at least {subject.quickest / 1e6:.2f} ms there, and {subject.cpu / 1e6:.2f} ms of "
                    "CPU: it waits for something else than the GIL, and more of them can wait at a time on threads",
                )
                return
        if (comparison := subject.comparison) is not None:
            comparison.away += 1
            comparison.wall_away += wall
            self._compare(subject, comparison)
            return
        if subject.sent % _CALLS_TO_JUDGE:
            return
        if subject.crossing > _TOO_MUCH_CROSSING * subject.cpu:
            self._move_back(subject, f"crossing costs {subject.crossing / 1e6:.2f} ms a task")
            return
        began, sent = subject.window
        seconds = (perf_counter_ns() - began) / 1e9
        if seconds < _SECONDS_TO_JUDGE:
            return
        rate = (subject.sent - sent) / seconds
        subject.window = (perf_counter_ns(), subject.sent)
        owner = None if self._owner is None else self._owner()
        busy = owner is not None and owner._stats()["queued"] > 0
        subject.slow = subject.slow + 1 if busy and rate < _SLOWER * subject.rate else 0
        if subject.slow >= 2:
            subject.slow = 0
            subject.comparison = _Comparison()

    def _fewer_away(self, subject: _Subject) -> bool:
        owner, pool = None if self._owner is None else self._owner(), subject.away
        return owner is not None and pool is not None and pool.max_workers < owner.max_workers

    def _compare_here(self, subject: _Subject, comparison: _Comparison, fn: Any, args: Any, kwargs: Any) -> Any:
        cpu, delay = thread_time_ns(), _waited_for_cpu()
        result = fn(*args, **kwargs)
        used = thread_time_ns() - cpu
        comparison.here += 1
        comparison.cpu_here += used
        comparison.ready_here += used + _waited_for_cpu() - delay
        self._compare(subject, comparison)
        return result

    def _compare(self, subject: _Subject, comparison: _Comparison) -> None:
        owner, pool = None if self._owner is None else self._owner(), subject.away
        if owner is None or pool is None:
            return
        rates = comparison.rates(max(subject.load.wanted, 0.1), min(owner.max_workers, pool.max_workers))
        if rates is None:
            return
        here, away = rates
        subject.comparison = None
        if away < _SLOWER * here:
            self._move_back(subject, f"{away:.0f} calls a second get done there, and {here:.0f} on threads")
            return
        subject.cpu, subject.rate = comparison.cpu_here / comparison.here, here
        subject.window = (perf_counter_ns(), subject.sent)

    def _move_back(self, subject: _Subject, why: str) -> None:
        try:
            with self._lock:
                if subject.away is None:
                    return
                subject.away = subject.around = None
        except BaseException:
            self._let_go()
            raise
        self._tell(Move("threads", "moved_back", f"{subject.name}: {why}", self._evidence(subject)))


def _not_seen(error: Exception) -> str:
    return f"what it uses could not be looked at: {type(error).__name__}: {error}"


def function_of(fn: Any) -> Any:
    """The function under partials and methods."""
    while True:
        if isinstance(fn, partial):
            fn = fn.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif isinstance(fn, MethodType):
            fn = fn.__func__
        else:
            return fn  # pyright: ignore[reportUnknownVariableType]


def _is_chunk(fn: Any) -> bool:
    """Whether it is what `map` submits. Not looked up: what somebody calls need not have a hash."""
    return fn is run_chunk or fn is run_one


def _inner(fn: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The user's function under those of weft's that call it, and what is left of the arguments."""
    while args and (_is_chunk(fn) or fn is run_seeded):
        fn, args = args[0], args[1:]
    return fn, args


def _gives_nothing(fn: Any, result: Any) -> bool:
    if _is_chunk(fn):
        results, error, *_ = result
        return error is not None or all(one is None for one in results)
    return result is None


def _portable_result(fn: Any, result: Any) -> Any:
    return result[0] if _is_chunk(fn) else result
