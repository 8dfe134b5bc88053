"""What a worker says beside its results: log records, warnings, and what it prints, on their way to the caller.

`install` runs in a worker before its first task. From then on each record, warning and line is handed to `send` where
it arises, on the thread where it does; `send` is ordered with results, so what was said before a task ended arrives
before its result. What is left of an unfinished line goes at `flush`, which the worker calls when a task has ended.

Nothing here fails a task: what cannot be pickled goes as text, and what cannot be sent stays in the worker, on its
stderr. Not touched: descriptors 1 and 2, `sys.stdout.buffer`, faulthandler.

`logging` is not imported for this, which takes as long as a quarter of a worker's start: records are sent once the
worker's code imports it.
The other side is receiving.py. Pinned by tests/payloads/test_asides.py.
"""

import sys
from _io import _TextIOBase  # pyright: ignore[reportPrivateUsage]
from _thread import RLock
from marshal import dumps

from weft._payloads.late_imports import when_imported
from weft._payloads.main_module import is_interruption

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from io import TextIOBase as _TextIOBase
    from typing import Any, TextIO

    # The level at which all is off, and the levels that were set, by the names of loggers; the root's is "".
    type Levels = tuple[int, dict[str, int]]

__all__ = ["flush", "install", "let_go", "unfinished", "uninstall"]

LONGEST = 1 << 16
"""Characters of an unfinished line that are kept."""

PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))
"""What `marshal` gives back as it was. It takes other things too: an array would come out as bytes."""

unfinished: "list[_Lines]" = []
"""The streams that may have an unfinished line. Empty, there is nothing for `flush` to do; the core looks first."""

_streams: "list[_Lines]" = []
_undo: "list[Callable[[], object]]" = []


def install(send: "Callable[[bytes], None]", *, streams: bool, levels: "Levels | None" = None) -> None:
    """Sends what this worker says to the caller.

    Args:
        send: Takes one message, for `receiving.receive` there. Any thread calls it.
        streams: Whether to send what is written to `sys.stdout` and `sys.stderr` too, line by line.
        levels: What the caller's loggers let through, by `receiving.levels`; without it, all that this worker's do.
    """
    if not _undo:
        _forget_after_fork()
    if streams:
        _send_lines(send)
    _send_warnings(send)
    _undo.append(when_imported("logging", lambda: _send_records(send, levels)))


def flush() -> None:
    """Sends unfinished lines: a task has ended."""
    while unfinished:
        try:
            lines = unfinished.pop()
        except IndexError:  # an actor's loop and its worker thread end calls at the same time
            return
        lines.flush()


def let_go() -> None:
    """Lets other threads print, though the calling one was interrupted as it did."""
    for stream in _streams:
        stream.let_go()


def uninstall() -> None:
    """Lets this interpreter speak for itself again. A process that a task forks does: the channel is not its own."""
    while _undo:
        _undo.pop()()


def _forget_after_fork() -> None:
    posix = sys.modules.get("posix")  # not on Windows, where nothing forks
    if posix is not None:
        posix.register_at_fork(after_in_child=uninstall)


# ---- log records -----------------------------------------------------------------------------------


def _send_records(send: "Callable[[bytes], None]", levels: "Levels | None") -> None:
    import logging

    class SendingHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                send(_pack_record(record))
            except BaseException as error:
                if is_interruption(error):
                    raise
                self.handleError(record)

    root, handler = logging.getLogger(), SendingHandler()
    root.addHandler(handler)
    _undo.append(lambda: root.removeHandler(handler))
    if levels is not None:
        off, each = levels
        logging.disable(off)
        for name, level in each.items():
            logging.getLogger(name or None).setLevel(level)


def _pack_record(record: "logging.LogRecord") -> bytes:
    fields = dict(record.__dict__)
    failure = b""
    if fields.get("exc_info"):
        failure = _take_exception(fields)
    plain: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in fields.items():
        if type(value) is tuple:  # its arguments
            is_plain = PLAIN.issuperset(map(type, value))  # pyright: ignore[reportUnknownArgumentType]
        else:
            is_plain = type(value) in PLAIN
        (plain if is_plain else others)[name] = value
    if not others:
        return dumps(("record", plain, b"", failure))
    data = _pickled(others)
    if data is None:
        # What it says is settled here; what it says that with stays here.
        others.pop("args", None)
        others.pop("msg", None)
        plain["msg"], plain["args"] = _text(record), ()
        data = _pickled(
            {name: value if _pickled(value) is not None else _shown(value) for name, value in others.items()}
        )
    return dumps(("record", plain, data or b"", failure))


def _take_exception(fields: "dict[str, Any]") -> bytes:
    """The exception of a record, in bytes; as text it goes in the record."""
    exception = fields["exc_info"][1]
    fields["exc_info"] = None
    if exception is None:
        return b""
    if not fields.get("exc_text"):
        import traceback

        fields["exc_text"] = "".join(traceback.format_exception(exception)).rstrip("\n")
    from weft._payloads.failures import dump_failure

    return dump_failure(exception)


def _text(record: "logging.LogRecord") -> str:
    try:
        return str.__str__(record.getMessage())
    except Exception as error:  # as many arguments as placeholders there are not, or their `__str__` raises
        return f"{_shown(record.msg)} (its arguments do not fit: {type(error).__name__}: {_shown(error)})"


def _shown(value: object) -> str:
    try:
        return str.__str__(repr(value))
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _pickled(thing: object) -> bytes | None:
    from weft._payloads.pickling import dump

    return dump(thing, None)[0]


# ---- warnings --------------------------------------------------------------------------------------


def _send_warnings(send: "Callable[[bytes], None]") -> None:
    import warnings  # small, and C code that warns does not import it

    in_worker = warnings.showwarning

    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: "TextIO | None" = None,
        line: str | None = None,
    ) -> None:
        if file is None:
            try:
                send(_pack_warning(message, category, filename, lineno))
                return
            except BaseException as error:
                if is_interruption(error):
                    raise
        in_worker(message, category, filename, lineno, file, line)

    def undo() -> None:
        if warnings.showwarning is showwarning:
            warnings.showwarning = in_worker

    warnings.showwarning = showwarning
    _undo.append(undo)


def _pack_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int) -> bytes:
    text = str.__str__(str(message))
    base = next(kind.__name__ for kind in category.__mro__ if kind.__module__ == "builtins")
    data = _pickled((message, category)) or _pickled((text, category)) or b""
    return dumps(("warning", data, text, base, filename, lineno, _module_of(filename)))


def _module_of(filename: str) -> str | None:
    """The name of the module that a file is, which filters ask for and the warning does not say."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get("__file__") == filename:
            return name
    return None


# ---- what is printed -------------------------------------------------------------------------------


def _send_lines(send: "Callable[[bytes], None]") -> None:
    before = sys.stdout, sys.stderr
    stdout, stderr = _Lines("stdout", sys.stdout, send), _Lines("stderr", sys.stderr, send)
    sys.stdout, sys.stderr = _streams[:] = stdout, stderr

    def undo() -> None:
        unfinished.clear()
        _streams.clear()
        if sys.stdout is stdout:
            sys.stdout = before[0]
        if sys.stderr is stderr:
            sys.stderr = before[1]

    _undo.append(undo)


class _Lines(_TextIOBase):
    """A text stream that sends what is written, line by line."""

    def __init__(self, name: str, stream: "Any", send: "Callable[[bytes], None]") -> None:
        self._name = name
        self._stream = stream  # the one that it stands for; None where there was none
        self._send = send
        self._lock = RLock()
        self._line: list[str] = []
        self._length = 0

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        whole, newline, rest = text.rpartition("\n")
        with self._lock:
            if newline:
                self._say("".join((*self._line, whole, newline)))
                self._line.clear()
                self._length = 0
            if rest:
                if self not in unfinished:
                    unfinished.append(self)
                self._line.append(str.__str__(rest))
                self._length += len(rest)
                if self._length >= LONGEST:
                    self.flush()
        return len(text)

    def flush(self) -> None:
        if self._line:
            with self._lock:
                text = "".join(self._line)
                self._line.clear()
                self._length = 0
                if text:
                    self._say(text)

    def let_go(self) -> None:
        from weft._locks import let_go  # an actor has it; workers of pools do without typing

        let_go(self._lock)

    def _say(self, text: str) -> None:
        try:
            self._send(dumps((self._name, text)))
        except BaseException as error:
            if is_interruption(error):
                raise
            if self._stream is not None:
                try:  # noqa: SIM105  # contextlib is not loaded for this
                    self._stream.write(text)
                except (OSError, ValueError):  # closed, or nobody reads it
                    pass

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        """The descriptor of the stream that this stands for; what is written there does not come by here."""
        if self._stream is None:
            return super().fileno()
        return self._stream.fileno()

    @property
    def name(self) -> str:
        return f"<{self._name}>"

    @property
    def encoding(self) -> "str":  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> "str":  # type: ignore[override]
        return getattr(self._stream, "errors", None) or "strict"

    @property
    def buffer(self) -> "Any":
        return self._stream.buffer
