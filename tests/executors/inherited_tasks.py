"""What workers do with what they have inherited, for test_inherited.py: `keep` is the initializer."""

import os
import signal
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

PATIENCE = 20.0

kept: tuple[Any, ...] = ()


def keep(*things: Any) -> None:
    global kept
    kept = things


def add(times: int) -> int:
    """Adds to a number that does not guard itself; which worker this is."""
    lock, raw = kept[0], kept[1]
    for _ in range(times):
        with lock:
            value = raw.value
            raw.value = value + 1
    return os.getpid()


def add_twice_locked(times: int) -> int:
    with kept[0]:
        return add(times)


def acquire() -> tuple[int, bool]:
    return os.getpid(), kept[0].acquire(timeout=PATIENCE)


def release() -> None:
    kept[0].release()


def wait() -> tuple[int, Any]:
    """At an event or a barrier."""
    return os.getpid(), kept[0].wait(PATIENCE)


def set_second() -> None:
    kept[1].set()


def wait_for_number(wanted: int) -> tuple[int, bool]:
    condition, raw = kept[0], kept[1]
    with condition:
        return os.getpid(), condition.wait_for(lambda: raw.value == wanted, PATIENCE)


def notify_number(number: int) -> None:
    condition, raw = kept[0], kept[1]
    with condition:
        raw.value = number
        condition.notify_all()


def put(*items: Any) -> None:
    for item in items:
        kept[0].put(item)


def pass_on(count: int) -> int:
    """From the first queue to the second."""
    for _ in range(count):
        kept[1].put((os.getpid(), kept[0].get()))
        if hasattr(kept[0], "task_done"):
            kept[0].task_done()
    return os.getpid()


def send(item: Any) -> None:
    kept[0].send(item)


def receive() -> Any:
    return kept[1].recv()


def answer() -> int:
    """Over a socket."""
    data = kept[0].recv(100)
    kept[0].sendall(data[::-1])
    return os.getpid()


def increment(times: int) -> int:
    number = kept[0]
    for _ in range(times):
        with number.get_lock():
            number.value += 1
    return os.getpid()


def mark(index: int) -> int:
    kept[0][index] = os.getpid()
    return os.getpid()


def look(index: int) -> int:
    return kept[0][index]


def meet_and_mark(index: int) -> int:
    kept[1].wait(PATIENCE)
    return mark(index)


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def give(index: int) -> Any:
    """A result that cannot cross."""
    return kept[index]


def children() -> list[str]:
    """The command lines of this process's children."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in found]


def make_a_lock() -> list[str]:
    """Has the resource tracker know of a semaphore of this worker's."""
    import multiprocessing

    lock = multiprocessing.get_context("spawn").Lock()
    with lock:
        return children()


def attach(name: str) -> tuple[int, list[str]]:
    memory = SharedMemory(name)
    assert memory.buf is not None
    memory.buf[0] += 1
    value = memory.buf[0]
    memory.close()
    return value, children()


def in_a_pool_of_its_own(times: int) -> int:
    from weft.executors import ProcessPoolExecutor

    with ProcessPoolExecutor(1, initializer=keep, initargs=kept) as pool:
        return pool.submit(add, times).result(PATIENCE)


class Deadly:
    """Kills the worker that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


class Holder:
    """An object with a lock in it, whose method is an initializer."""

    def __init__(self, lock: Any, connections: dict[str, Any]) -> None:
        self.lock = lock
        self.connections = connections

    def keep(self) -> None:
        keep(self.lock, self.connections["there"])


def send_locked() -> None:
    """With what `Holder` kept."""
    with kept[0]:
        kept[1].send(os.getpid())


def everything(context: Any) -> tuple[Any, ...]:
    """One of most things that can be inherited; `add` can use it."""
    number: tuple[Any, ...] = (context.Lock(), context.RawValue("i", 0), context.Array("i", 1000), context.Value("d"))
    return (*number, context.Event(), context.Barrier(2), context.Queue(), context.SimpleQueue(), *context.Pipe())
