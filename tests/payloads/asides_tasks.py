"""What the workers of test_asides.py do: each function is a task, run in a process or an interpreter of its own."""

import sys
import warnings


class OwnWarning(UserWarning):
    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Unpicklable:
    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> str:
        raise TypeError("stays here")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{self.text}>"


class Hopeless(Unpicklable):
    def __str__(self) -> str:
        raise ValueError("no str")

    def __repr__(self) -> str:
        raise ValueError("no repr")


class NotRebuilt:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return fail, ("elsewhere",)


def fail(text: str) -> None:
    raise LookupError(text)


def log_plain() -> None:
    import logging
    import threading

    logger = logging.getLogger("app.part")
    logger.info("%s of %d", "one", 2, extra={"request": 17})
    thread = threading.Thread(target=logger.warning, args=("from a thread",), name="the thread")
    thread.start()
    thread.join()


def log_objects() -> None:
    import array
    import logging

    logger = logging.getLogger("app")
    logger.warning("array %r", array.array("i", [1, 2]))
    logger.warning("%(a)s", {"a": [1]})
    logger.warning(OwnWarning("an object", 3))
    logger.warning("says %s", Unpicklable("it"), extra={"stuck": Unpicklable("stuck"), "fine": [1]})
    logger.warning("says %s", Hopeless("it"))
    logger.warning("%d %d", 1)
    logger.warning("cannot be rebuilt: %s", NotRebuilt())


def log_exception() -> None:
    import logging

    try:
        fail("of the task")
    except LookupError:
        logging.getLogger("app").exception("it failed", stack_info=True)
    try:
        raise OSError(Unpicklable("in an exception"))
    except OSError:
        logging.getLogger().exception("so did this")


def log_at_all_levels() -> None:
    import logging

    for name in ("", "loud", "loud.child", "quiet"):
        for level in (10, 20, 30, 40):
            logging.getLogger(name).log(level, "%s:%d", name, level)


def warn() -> None:
    for _ in range(3):
        warnings.warn("twice the same", OwnWarning, stacklevel=1)
    warnings.warn_explicit(OwnWarning("with a code", 5), None, "/some/file.py", 12)


def warn_with_what_stays() -> None:
    class Local(DeprecationWarning):
        pass

    warnings.warn("of a class that stays", Local, stacklevel=1)
    warning = OwnWarning("with an attribute that stays")
    warning.thing = Unpicklable("thing")  # type: ignore[attr-defined]
    warnings.warn(warning, stacklevel=1)


def warn_caught() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("nobody hears", stacklevel=1)
    assert len(caught) == 1


def print_lines() -> None:
    print("one", 2)
    print("two", end="")
    sys.stdout.flush()
    print("é\udc80 three\nfour")
    print("to stderr", file=sys.stderr)
    assert sys.stdout.fileno() == 1
    assert not sys.stdout.isatty()
    print("unfinished", end="")


def print_much() -> None:
    for _ in range(100):
        sys.stdout.write("x" * 10_000)


def fork_and_log() -> None:
    import logging
    import os

    pid = os.fork()
    if pid == 0:
        logging.getLogger("app").warning("of the child")
        warnings.warn("of the child", stacklevel=1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    logging.getLogger("app").warning("of the worker")


def nothing() -> None:
    pass
