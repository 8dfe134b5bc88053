"""What workers say beside their results, on the caller's side: handed to what the caller has for it.

Log records go to the logger of their name, warnings to `warnings`, what was printed to `sys.stdout` and `sys.stderr`
as they are at that moment. Their filters, handlers and replacements decide, as if it had been said here.

Any thread may call this; the one that reads a worker's results does, before it delivers the next result. The caller's
own code runs here: handlers, filters, streams. What it raises is reported and goes no further: no task fails by what
it says.
The other side is asides.py. Pinned by tests/payloads/test_asides.py.
"""

from __future__ import annotations

import logging
import marshal
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO

from weft._payloads.failures import load_failure
from weft._payloads.main_module import is_interruption
from weft._payloads.pickling import load

if TYPE_CHECKING:
    from weft._payloads.asides import Levels

__all__ = ["levels", "receive"]

_warned: dict[str, dict[Any, Any]] = {}
"""Registries of warnings, which the module has that warned; this is for files of which no module is here."""


def levels() -> Levels:
    """What the loggers of this interpreter let through now, for `asides.install`. Plain data."""
    root = logging.getLogger()
    each = {"": root.level}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            each[name] = logger.level
    return root.manager.disable, each


def receive(data: bytes, worker: str) -> None:
    """Says here what a worker has said. Raises nothing but what interrupts.

    Args:
        data: One message of `asides`.
        worker: The name of the worker; log records have it as ``weft_worker``.
    """
    try:
        what, *fields = marshal.loads(data)
        if what == "record":
            _log(*fields, worker=worker)
        elif what == "warning":
            _warn(*fields)
        else:
            _print(sys.stderr if what == "stderr" else sys.stdout, *fields)
    except BaseException as error:
        if is_interruption(error):
            raise
        _report(error, worker)


def _report(error: BaseException, worker: str) -> None:
    """For what was raised here by the caller's handlers, filters and streams."""
    try:
        sys.excepthook(type(error), error, error.__traceback__)
        print(f"(raised by what was to take something that worker {worker} has said)", file=sys.stderr)
    except BaseException as another:  # the stream that they would be printed to is what fails
        if is_interruption(another):
            raise


def _log(plain: dict[str, Any], pickled: bytes, failure: bytes, *, worker: str) -> None:
    fields: dict[str, Any] = dict(plain)
    if pickled:
        try:
            fields |= load(pickled)
        except BaseException as error:
            if is_interruption(error):
                raise
            fields["msg"], fields["args"] = "a log record cannot be rebuilt here: %s: %s", (type(error).__name__, error)
    if failure:
        exception = load_failure(failure)
        fields["exc_info"] = (type(exception), exception, exception.__traceback__)
    record = logging.makeLogRecord(fields)
    record.weft_worker = worker
    logger = logging.getLogger(record.name if record.name != "root" else None)
    if logger.isEnabledFor(record.levelno):  # that may have changed since the worker was told
        logger.handle(record)


def _warn(pickled: bytes, text: str, base: str, filename: str, lineno: int, module: str | None) -> None:
    message: Warning | str = text
    category: type[Warning] = getattr(__import__("builtins"), base)
    if pickled:
        try:
            message, category = load(pickled)
        except BaseException as error:
            if is_interruption(error):
                raise
    if module is None:  # to `warnings`, None means that the interpreter is ending
        module = filename.removesuffix(".py") or "<unknown>"
    here = sys.modules.get(module)
    registry = _warned.setdefault(filename, {}) if here is None else vars(here).setdefault("__warningregistry__", {})
    try:
        warnings.warn_explicit(message, category, filename, lineno, module, registry)
    except Warning:
        # A filter makes an error of it, and there is nobody here to raise it to.
        warnings.showwarning(message, category, filename, lineno)


def _print(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if stream is sys.stderr:
        stream.flush()
