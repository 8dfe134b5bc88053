"""Objects that do harm while they are pickled, rebuilt, run or collected, for workers in processes and interpreters."""

import ctypes
import os
import signal
import sys
from typing import Any


def harm(how: str) -> None:
    if how == "raise":
        raise ArithmeticError("sabotage")
    if how == "exit":
        sys.exit(5)
    if how == "leave":
        os._exit(5)
    if how == "crash":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


class WhenPickled:
    def __init__(self, how: str, where: int) -> None:
        self.how, self.where = how, where  # in any other process than this one

    def __reduce__(self) -> Any:
        if os.getpid() != self.where:
            harm(self.how)
        return WhenPickled, (self.how, self.where)


class WhenRebuilt:
    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return harm, (self.how,)


class WhenCollected:
    def __init__(self, how: str) -> None:
        self.how = how

    def __del__(self) -> None:
        harm(self.how)


def take(argument: object) -> str:
    return "taken"


def give_when_pickled(how: str, where: int) -> Any:
    return WhenPickled(how, where)


def collect(how: str) -> str:
    thing = WhenCollected(how)
    del thing
    return "collected"
