"""The worker's side in an interpreter with its own GIL, in the same address space (3.14)."""

import marshal
import sys
import textwrap

import pytest

from tests.payloads import tasks
from weft._payloads.calling import pack_call, unpack_failure, unpack_result
from weft._payloads.functions import FunctionTable
from weft._payloads.main_module import main_info

if sys.version_info < (3, 14):
    pytest.skip("interpreters need 3.14", allow_module_level=True)

from concurrent import interpreters

SESSION = """
    import marshal, sys
    info = marshal.loads(info)
    sys.path[:] = info["path"]
    from weft._payloads import working
    working.prepare_main(info)
    function = working.load_function(definition)
    number, kwnames, *values = working.unpack_call(data, [lent])
    try:
        result, buffers = working.pack_result(function(*values))
        answers.put((True, result, [bytes(buffer.raw()) for buffer in buffers]))
    except BaseException as error:
        answers.put((False, working.pack_failure(error), []))
"""


def in_an_interpreter(function: object, *args: object) -> object:
    table = FunctionTable()
    number = table.number(function)
    assert number is not None
    data, buffers = pack_call(number, None, args)
    answers = interpreters.create_queue()
    interpreter = interpreters.create()
    try:
        lent = memoryview(buffers[0]) if buffers else b""
        interpreter.prepare_main(
            {
                "info": marshal.dumps(dict(main_info())),
                "definition": table.definition(number),
                "data": data,
                "lent": lent,
                "answers": answers,
            }
        )
        interpreter.exec(textwrap.dedent(SESSION))
        ok, answer, back = answers.get(timeout=20)
    finally:
        interpreter.close()
    if ok:
        return unpack_result(answer, back)
    raise unpack_failure(answer)


def test_calls_results_and_failures() -> None:
    assert in_an_interpreter(tasks.same, tasks.Config([1])) == tasks.Config([1])
    with pytest.raises(tasks.WithOtherArguments, match="three") as caught:
        in_an_interpreter(tasks.raise_it, tasks.WithItsOwnReduce(1, 2), 3)
    assert type(caught.value.__context__) is tasks.WithItsOwnReduce


def test_a_buffer_is_lent() -> None:
    memory = bytearray(b"abcdef")
    assert in_an_interpreter(tasks.write_into, memoryview(memory)) == 6
    assert memory == b"Abcdef"
