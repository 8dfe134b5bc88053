"""The template process: imports what workers need, then forks, reaps and reports until its caller is gone.

One thread, and no code of the user's but the `preload` modules. It waits for its caller and for its children at once,
and never for one of them alone: what the caller does not take at once is kept.

A worker runs nothing before the caller can know of it: it waits for a word that the template gives when its report is
on the way. So a template that is killed leaves no worker behind that nobody knows, and the caller may ask again
elsewhere.

Ends when the socket or the caller's process does: kills its workers, reports their ends, runs the `atexit` handlers
of what it has imported, all within a second. While it imports, it cannot look; then the end of the lifeline, a pipe
of which the caller has the other end, is a SIGIO, which kills it also in the middle of C code.
Pinned by tests/executors/test_template.py and test_template_ends.py.
"""

import fcntl
import gc
import os
import select
import signal
import sys
from _socket import MSG_DONTWAIT, SocketType
from contextlib import suppress

from weft.executors._template.forked import become_worker
from weft.executors._template.messages import ancillary, frame, receive
from weft.executors._template.surroundings import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from weft.executors._template.launch import Orders

__all__ = ["serve"]

NEEDED = ("weft._core", "weft._payloads.working", "weft._payloads.starting")
_LEAVES_WITHIN = 0.8  # seconds
_EMFILE = 24


def serve(descriptor: int, lifeline: int, orders: "Orders") -> "NoReturn":
    """Is the template, from its first instruction in weft to its end."""
    _close_after(lifeline)
    for number in (1, 2):
        _fill(number)
    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # somebody may still send it to all of a group
    _die_with(lifeline)
    for number in (descriptor, lifeline):
        os.set_inheritable(number, False)
    sys.modules["__main__"] = type(sys)("__main__")  # boot.py is nobody's main module
    settle(orders["surroundings"])
    socket = SocketType(fileno=descriptor)
    _import_all(socket, orders)
    socket.send(frame(("ready",)))
    fcntl.fcntl(lifeline, fcntl.F_SETFL, 0)
    os.close(lifeline)  # from now on the loop sees the end of the socket
    Server(socket, orders, interrupt).run()


def _close_after(last: int) -> None:
    """Closes what the caller lets any child inherit."""
    for name in os.listdir("/dev/fd"):
        if int(name) > last:
            with suppress(OSError):  # the one that listed them
                os.close(int(name))


def _fill(number: int) -> None:
    """Lets nothing of ours get the number of a standard stream that the caller has closed."""
    try:
        os.fstat(number)
    except OSError:
        other = os.open(os.devnull, os.O_WRONLY)
        if other != number:
            os.dup2(other, number)
            os.close(other)


def _die_with(lifeline: int) -> None:
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    try:
        gone = os.read(lifeline, 1) == b""
    except BlockingIOError:
        gone = False
    if gone:
        os._exit(0)


def _import_all(socket: SocketType, orders: "Orders") -> None:
    for name in (*NEEDED, orders["run"].partition(":")[0]):
        _import(socket, name)
    gc.enable()
    for name in orders["preload"]:
        _import(socket, name)
    _flush()  # each worker would write it again
    if orders["preload"]:
        gc.collect()
        gc.freeze()  # a collection in a worker would write to, and so copy, every page of this


def _import(socket: SocketType, name: str) -> None:
    try:
        __import__(name)
    except BaseException as error:
        from weft._payloads.working import pack_failure

        socket.sendall(frame(("failed", name, pack_failure(error))))
        _flush()
        os._exit(1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, None, or no longer a stream
            stream.flush()


class Outgoing:
    """A message on its way to the caller, and what is closed when it is."""

    __slots__ = ("data", "descriptors", "go")

    def __init__(self, message: "tuple[Any, ...]", descriptors: "Sequence[int]" = (), go: int = -1) -> None:
        self.data = frame(message, len(descriptors))
        self.descriptors = descriptors
        self.go = go

    def close(self) -> None:
        """Drops what it holds."""
        for number in (*self.descriptors, self.go):
            if number >= 0:
                os.close(number)
        self.descriptors, self.go = (), -1


class Server:
    """The template's loop, and its workers."""

    def __init__(self, socket: SocketType, orders: "Orders", interrupt: "Any") -> None:
        self._socket = socket
        self._run_name = orders["run"]
        self._workers: dict[int, int] = {}  # their pids, by the caller's numbers for them; not yet reaped
        self._outgoing: list[Outgoing] = []
        self._parent = self._watch_parent(orders["parent"])
        self._woken, wake = os.pipe()
        for number in (self._woken, wake):
            os.set_blocking(number, False)
        self._wake = wake
        # A preloaded module's handler is the workers', as if they had imported it themselves.
        found = signal.getsignal(signal.SIGINT)
        self._signals: dict[int, Any] = {
            signal.SIGINT: interrupt if found == signal.SIG_IGN else found,
            signal.SIGCHLD: signal.getsignal(signal.SIGCHLD),
        }
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def _watch_parent(self, parent: int) -> int:
        """A pidfd of the caller, or -1: its socket may be held open by a child that it forked and knows nothing of."""
        if not hasattr(os, "pidfd_open"):
            return -1
        try:
            watch = os.pidfd_open(parent)
        except ProcessLookupError:
            os._exit(0)
        except OSError:
            return -1
        if os.getppid() != parent:  # the number was another's already, or lies in another namespace
            os.close(watch)
            return -1
        return watch

    def run(self) -> "NoReturn":
        poll = select.poll()
        for number in (self._woken, self._parent):
            if number >= 0:
                poll.register(number, select.POLLIN)
        while True:
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            ready = dict(poll.poll())
            if self._parent in ready:
                self._leave()
            if self._woken in ready:
                self._reap()
            if ready.get(self._socket.fileno(), 0) & ~select.POLLOUT:
                self._answer()
            self._send()

    def _answer(self) -> None:
        try:
            message, descriptors = receive(self._socket)
        except (EOFError, OSError):
            self._leave()
        if message[0] == "start":
            self._start(message, descriptors)
        elif message[0] == "kill":
            _, number, which = message
            pid = self._workers.get(number)
            if pid is not None:  # not reaped, so the pid is still its own
                os.kill(pid, which)

    def _start(self, message: "tuple[Any, ...]", descriptors: "list[int] | None") -> None:
        _, number, numbers, setup, surroundings = message
        go: tuple[int, int] = (-1, -1)
        watch: list[int] = []
        try:
            if descriptors is None:
                raise OSError(_EMFILE, "")
            go = os.pipe()
            pid = _fork()
            if pid == 0:
                given = iter(descriptors)
                own = [next(given) if one >= 0 else -1 for one in numbers[1:]]
                self._close_in_worker(go[1])
                run = self._run_name
                become_worker(run, numbers[0], own, setup, surroundings, [*given], go[0], self._signals)
            self._workers[number] = pid
            if hasattr(os, "pidfd_open"):
                try:
                    watch.append(os.pidfd_open(pid))
                except OSError as error:
                    if error.errno == _EMFILE:
                        raise
        except OSError as error:
            # A worker that has been forked by now sees the end of its pipe, and leaves.
            if go[1] >= 0:
                os.close(go[1])
            self._outgoing.append(Outgoing(("refused", number, error.errno or 0)))
        else:
            self._outgoing.append(Outgoing(("started", number, pid), watch, go[1]))
        if go[0] >= 0:
            os.close(go[0])
        for one in descriptors or ():
            os.close(one)

    def _close_in_worker(self, go: int) -> None:
        signal.set_wakeup_fd(-1)
        self._socket.close()
        for number in (self._woken, self._wake, self._parent, go):
            if number >= 0:
                os.close(number)
        for outgoing in self._outgoing:
            outgoing.close()

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        for number in list(self._workers):
            self._reap_one(number, os.WNOHANG)

    def _reap_one(self, number: int, flags: int) -> None:
        # Each by its own number: a preloaded module may have children of its own.
        try:
            pid, status = os.waitpid(self._workers[number], flags)
        except ChildProcessError:  # a handler of a preloaded module was faster
            pid, status = self._workers[number], 255 << 8
        if pid:
            del self._workers[number]
            self._outgoing.append(Outgoing(("ended", number, os.waitstatus_to_exitcode(status))))

    def _send(self) -> None:
        while self._outgoing:
            first = self._outgoing[0]
            try:
                sent = self._socket.sendmsg([first.data], ancillary(first.descriptors), MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._leave()
            for number in first.descriptors:
                os.close(number)
            first.descriptors = ()
            first.data = first.data[sent:]
            if first.data:
                return
            if first.go >= 0:
                with suppress(BrokenPipeError):  # it was killed meanwhile
                    os.write(first.go, b"g")
            first.close()
            del self._outgoing[0]

    def _leave(self) -> "NoReturn":
        # Whatever hangs from here on, this process ends.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _LEAVES_WITHIN)
        for pid in self._workers.values():
            os.kill(pid, signal.SIGKILL)
        with suppress(OSError):  # nobody hears it
            for number in list(self._workers):
                self._reap_one(number, 0)
            for outgoing in self._outgoing:
                self._socket.sendmsg([outgoing.data], ancillary(outgoing.descriptors))
        import atexit

        try:
            atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
            _flush()
        finally:
            os._exit(0)


def _nothing(*_: object) -> None:
    """A handler, so that the signal reaches the wake-up descriptor."""


def _fork() -> int:
    warnings = sys.modules.get("warnings")
    if warnings is None:
        return os.fork()
    # Threads of a preloaded C library (OpenBLAS) prepare themselves for a fork; Python's warning is for others.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
