"""A real worker for tests: a fresh interpreter that knows only the worker's side, spoken to over its pipes."""

import marshal
import subprocess
import sys
from collections.abc import Sequence
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, Self

from weft._payloads.calling import pack_call, unpack_failure, unpack_result
from weft._payloads.functions import FunctionTable
from weft._payloads.main_module import main_info

if TYPE_CHECKING:
    from weft._payloads.main_module import MainInfo

# What the core does in a worker, one message at a time.
PROGRAM = """
import marshal, sys
from weft._payloads import working

functions = {}
source, sink = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr
while True:
    try:
        what, *rest = marshal.load(source)
    except EOFError:
        break
    if what == "main":
        working.prepare_main(rest[0])
        continue
    if what == "context":
        from weft._payloads.context import apply_context
        apply_context(rest[0])
        continue
    if what == "define":
        functions[rest[0]] = rest[1]
        continue
    try:
        number, kwnames, *values = working.unpack_call(*rest)
        if number == 0:
            function = values.pop(0)
        else:
            function = functions[number]
            if type(function) is bytes:
                function = functions[number] = working.load_function(function)
        names = kwnames or ()
        split = len(values) - len(names)
        value = function(*values[:split], **dict(zip(names, values[split:])))
        data, buffers = working.pack_result(value, task="the task")
        reply = True, data, [bytes(buffer.raw()) for buffer in buffers]
    except BaseException as error:
        reply = False, working.pack_failure(error)
    marshal.dump(reply, sink)
    sink.flush()
"""


class Worker:
    """A child interpreter, and the table of what it was sent."""

    def __init__(self, info: "MainInfo | None" = None) -> None:
        self.table = FunctionTable()
        self.sent: set[int] = set()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.say("main", info or main_info())

    def say(self, *message: Any) -> None:
        assert self.process.stdin is not None
        marshal.dump(message, self.process.stdin)
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        ok, data, *rest = marshal.load(self.process.stdout)
        if ok:
            return unpack_result(data, *rest)
        raise unpack_failure(data)

    def define(self, function: Any) -> int:
        number = self.table.number(function)
        if number is not None and number not in self.sent:
            self.say("define", number, self.table.definition(number))
            self.sent.add(number)
        return number or 0

    def send(self, data: bytes, buffers: Sequence[PickleBuffer] = ()) -> Any:
        self.say("call", data, [bytes(buffer.raw()) for buffer in buffers])
        return self.answer()

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        number = self.define(function)
        brought = () if number else (function,)
        return self.send(*pack_call(number, tuple(kwargs) or None, (*brought, *args, *kwargs.values())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        errors = self.process.communicate(timeout=20)[1].decode()
        assert self.process.returncode == 0, errors
        assert "Fatal" not in errors, errors
