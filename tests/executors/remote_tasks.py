"""Functions for workers that share nothing with the test: what they keep, they keep in their own interpreter."""

import contextvars
import os
import signal
import sys
import time
from typing import Any

from tests.executors.set_up_tasks import note

kept: list[Any] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


def where() -> tuple[int, int]:
    """The process and the interpreter."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters

        return os.getpid(), interpreters.get_current().id
    return os.getpid(), 0


def spin() -> None:
    while True:
        pass


def hold_the_gil_and_spin(items: int) -> None:
    """Nobody comes in before it has added up so many numbers."""
    sum(range(items))
    spin()


def nap_for_ever() -> None:
    while True:
        time.sleep(0.05)


def refuse_to_stop() -> None:
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass


def write_into(view: memoryview, value: int) -> int:
    view[0] = value
    return len(view)


def keep(thing: Any) -> None:
    kept.append(thing)


def first_kept() -> int:
    return kept[0][0]


def forget() -> None:
    kept.clear()


def said() -> str:
    return variable.get()


def set_and_say(text: str) -> str:
    before = variable.get()
    variable.set(text)
    return before


def note_set_and_fail(path: str) -> None:
    note(path, set_and_say("else"))
    raise ValueError


def count_on(_: object = None) -> int:
    number.set(number.get() + 1)
    return number.get()


def import_numpy() -> str:
    import numpy as np

    return np.__version__


def fail_with_all() -> None:
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        error = ValueError("what happened")
        error.add_note("a note")
        raise ExceptionGroup("several", [error, OSError(2, "no such thing")]) from cause


def start_a_thread(seconds: float) -> None:
    import threading

    threading.Thread(target=time.sleep, args=(seconds,)).start()


def lock() -> Any:
    import threading

    return {"a": [threading.Lock()]}


def raise_in_start(text: str) -> None:
    raise LookupError(text)


def add_to_kept(value: int) -> None:
    kept.append(value)


def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)
    time.sleep(30)


def leave(status: int) -> None:
    os._exit(status)


def meet(mine: Any, other: Any) -> tuple[int, int]:
    """Where it ran, when the other one has come too: they cannot but run at a time."""
    mine.set()
    assert other.wait(30)
    return where()


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def echo_array(array: Any) -> Any:
    return array


def add_one_here(array: Any) -> tuple[int, Any]:
    return os.getpid(), array + 1


def add_one(array: Any) -> Any:
    return array + 1


def is_read_only(array: Any) -> bool:
    return not array.flags.writeable


def grow(megabytes: int) -> int:
    kept.append(bytearray(megabytes * 2**20))
    kept[-1][::4096] = b"x" * len(range(0, megabytes * 2**20, 4096))
    return os.getpid()


class Bomb:
    """Goes off in the moment that it was made for."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def __reduce__(self) -> Any:
        if self.moment == "pickle":
            raise RuntimeError("bomb")
        return (explode if self.moment == "unpickle" else Bomb, (self.moment,))

    def __call__(self) -> None:
        raise RuntimeError("bomb")


def explode(_: str) -> None:
    raise RuntimeError("bomb")


def make_bomb(moment: str) -> Bomb:
    return Bomb(moment)


def say(text: str) -> str:
    """On every way that there is."""
    import logging
    import warnings

    print(f"out {text}")
    print(f"err {text}", file=sys.stderr)
    logging.getLogger("weft.tests.asides").info("log %s", text)
    warnings.warn(f"warn {text}", UserWarning, stacklevel=1)
    return text


def say_unfinished(text: str) -> str:
    sys.stdout.write(f"unfinished {text}")
    return text


def say_much(lines: int) -> int:
    for number in range(lines):
        print(number)
    return lines


def say_at_once(text: str) -> None:
    print(text)


def say_and_wait_for(text: str, path: str) -> bool:
    """Whether the file came within half a minute."""
    print(text)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if os.path.exists(path):
            return True
        time.sleep(0.01)
    return False


def say_and_fail(text: str) -> None:
    print(text)
    raise ValueError(text)


def say_and_die(text: str) -> None:
    print(text)
    os._exit(3)


def say_from_threads(texts: list[str]) -> None:
    import threading

    threads = [threading.Thread(target=print, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def say_in_a_thread_that_stays(text: str, path: str) -> None:
    import threading

    threading.Thread(target=say_and_wait_for, args=(text, path)).start()


def log_levels() -> list[bool]:
    import logging

    logger = logging.getLogger("weft.tests.levels")
    return [logger.isEnabledFor(level) for level in (logging.DEBUG, logging.INFO, logging.WARNING)]


def put(queue: Any, item: object) -> None:
    queue.put(item)


def die_at(number: int, when: int) -> int:
    if number == when:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def spin_at(number: int, when: int) -> int:
    while number == when:
        pass
    return number


def large_array(number: int, items: int) -> Any:
    import numpy as np

    return np.full(items, number)


def large(items: int) -> bytes:
    return bytes(8 * items)


def place_after(seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return where()


def nap_often(item: int) -> int:
    nap_for_ever()
    return item
