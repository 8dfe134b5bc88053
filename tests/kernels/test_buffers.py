"""What the kernels take and what they refuse, with words that say what to do; nothing is copied or converted silently."""

from array import array
from typing import Any

import numpy as np
import pytest

from tests.kernels.arrays import AUTO, DTYPES
from weft import _core, kernels
from weft.executors import SerialExecutor


def misaligned(dtype: str, size: int = 8) -> Any:
    raw = np.zeros(size * 8 + 1, dtype="uint8")
    return raw[1 : 1 + size * np.dtype(dtype).itemsize].view(dtype)


@pytest.mark.parametrize("code", "fdilq")
def test_arrays_of_the_standard_library(code: str) -> None:
    assert kernels.sum(array(code, [1, 2, 3])) == 6
    assert kernels.sum(memoryview(array(code, [1, 2, 3]))) == 6
    assert _core.buffer_supported(array(code))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_numpy(dtype: str) -> None:
    assert _core.buffer_supported(np.ones((3, 4), dtype=dtype))
    assert kernels.sum(np.ones((3, 4), dtype=dtype)) == 12


def test_what_is_only_read_may_be_read_only() -> None:
    view = memoryview(array("d", [1, 2]).tobytes()).cast("d")
    assert kernels.sum(view) == 3
    frozen = np.ones(5)
    frozen.flags.writeable = False
    assert kernels.max(frozen) == 1


REFUSED = {
    "list": ([1.0, 2.0], r"a must be a buffer of .*, not list; make one with array\.array\('d', values\)"),
    "bytes": (b"12345678", r"a has elements of format B \(1 bytes each\)"),
    "float16": (np.ones(3, dtype="float16"), r"format e .* convert it with a\.astype\('float64'\)"),
    "uint32": (np.ones(3, dtype="uint32"), "format I"),
    "bool": (np.ones(3, dtype="bool"), r"format \?"),
    "complex": (np.ones(3, dtype="complex128"), "format Zd"),
    "objects": (np.array([1, None]), "format O"),
    "dates": (np.zeros(3, dtype="M8[s]"), "a must be a buffer of"),
    "records": (np.zeros(3, dtype=[("x", "f8")]), "format T"),
    "foreign byte order": (np.ones(3, dtype=">f8"), "in the machine's byte order"),
    "one number": (np.float64(3), "a is a single number"),
    "every other one": (
        np.ones(6)[::2],
        r"a is not C-contiguous \(shape \(3,\), strides \(16,\) in bytes\), .*ascontiguousarray\(a\)",
    ),
    "backwards": (np.ones(3)[::-1], r"strides \(-8,\)"),
    "columns first": (np.ones((3, 2), order="F"), "not C-contiguous"),
    "not aligned": (misaligned("float64"), "a is not aligned: .* 8-byte elements; pass a copy"),
    "not aligned int": (misaligned("int32"), "a is not aligned: .* 4-byte elements"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    value, words = REFUSED[name]
    for call in (kernels.sum, kernels.min, kernels.max):
        with pytest.raises(TypeError, match=words):
            call(value)
    assert not _core.buffer_supported(value)


def test_a_misaligned_copy_is_taken() -> None:
    assert kernels.sum(misaligned("float64").copy()) == 0


def test_the_offending_argument_is_named() -> None:
    good, bad = np.ones(3), np.ones(6)[::2]
    with pytest.raises(TypeError, match="b is not C-contiguous"):
        kernels.dot(good, bad)
    with pytest.raises(TypeError, match="dst is not C-contiguous"):
        _core.buffer_transform(None, good, good, bad, "add", AUTO)
    with pytest.raises(TypeError, match="src is not C-contiguous"):
        _core.buffer_copy(None, bad, good, AUTO)


@pytest.mark.parametrize(
    "call",
    [
        lambda dst: _core.buffer_fill(None, dst, 1.0, AUTO),
        lambda dst: _core.buffer_sort(None, dst, False, False, AUTO),
        lambda dst: _core.buffer_iota(None, dst, 1.0, 1.0, AUTO),
        lambda dst: _core.buffer_copy(None, np.ones(2), dst, AUTO),
        lambda dst: _core.buffer_scan(None, np.ones(2), dst, "add", True, None, AUTO),
        lambda dst: _core.buffer_transform(None, np.ones(2), 1.0, dst, "add", AUTO),
    ],
)
def test_results_do_not_go_where_nothing_may_be_written(call: Any) -> None:
    for destination in (memoryview(bytes(16)).cast("d"), np.broadcast_to(np.ones(2), 2)):
        before = bytes(destination)
        with pytest.raises(TypeError, match="is read-only, and the result goes there; pass a writable buffer"):
            call(destination)
        assert bytes(destination) == before


def test_results_do_not_go_where_they_would_be_read_again() -> None:
    memory = np.arange(10.0)
    for call in (
        lambda: _core.buffer_transform(None, memory[:8], 1.0, memory[2:], "add", AUTO),
        lambda: _core.buffer_transform(None, np.ones(8), memory[:8], memory[1:9], "add", AUTO),
        lambda: _core.buffer_scan(None, memory[2:], memory[:8], "add", True, None, AUTO),
        lambda: _core.buffer_copy(None, memory[:8], memory[2:], AUTO),
    ):
        with pytest.raises(ValueError, match="without being the same memory"):
            call()
    assert memory.tolist() == list(range(10))
    _core.buffer_transform(None, memory[:5], 1.0, memory[5:], "add", AUTO)  # neighbours are no overlap
    assert memory.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]


def test_wrong_words_are_named() -> None:
    a: Any = np.ones(3)
    core: Any = _core
    with pytest.raises(ValueError, match="op must be one of 'add', 'mul', 'min', 'max', not 'sub'"):
        core.buffer_reduce(None, a, "sub", None, AUTO)
    with pytest.raises(ValueError, match="compare must be one of 'lt', .*, not 3"):
        core.buffer_count(None, a, 3, 1.0, AUTO)
    for chunk in (("auto",), ("fast", 1), ("auto", -1), ("auto", 1.5), None, "auto"):
        with pytest.raises(ValueError, match="chunk must be a tuple of 'auto', 'static', 'dynamic' or 'guided'"):
            core.buffer_reduce(None, a, "add", None, chunk)
    with pytest.raises(TypeError, match="takes 5 positional arguments, not 1"):
        core.buffer_reduce(None)


def test_executors_that_cannot_help_are_named() -> None:
    executor: Any = object()
    with pytest.raises(
        TypeError, match=r"executor must be a weft\.executors\.ThreadPoolExecutor, or None .*, not <object"
    ):
        kernels.sum(np.ones(3), executor=executor)
    with SerialExecutor() as serial:
        assert kernels.sum(np.ones(10**6), executor=serial) == 10**6


@pytest.mark.parametrize(
    ("dtype", "value", "error", "words"),
    [
        ("int32", 2**31, OverflowError, "value is 2147483648, which int32 does not hold"),
        ("int64", 2**63, OverflowError, "which int64 does not hold"),
        ("int64", 0.5, TypeError, "value must be a whole number for a buffer of int64, not 0.5"),
        ("float64", "1", TypeError, "value must be a number, not '1'"),
        ("float64", 10**400, OverflowError, "too large"),
    ],
)
def test_numbers_that_do_not_fit(dtype: str, value: Any, error: type[Exception], words: str) -> None:
    a = np.ones(3, dtype=dtype)
    with pytest.raises(error, match=words):
        _core.buffer_fill(None, a, value, AUTO)
    assert a.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (kernels.sum, None),
        (lambda a: kernels.dot(a, a), None),
        (lambda a: kernels.dot(a, [1]), TypeError),
        (lambda a: kernels.dot(a, array("d", [1])), ValueError),
        (lambda a: _core.buffer_fill(None, a, "x", AUTO), TypeError),
        (lambda a: _core.buffer_reduce(None, a, "add", "x", AUTO), TypeError),
    ],
)
def test_buffers_are_given_back(call: Any, error: type[Exception] | None) -> None:
    a = array("d", [1.0, 2.0])
    if error is None:
        call(a)
    else:
        with pytest.raises(error):
            call(a)
    a.append(1.0)  # BufferError if somebody still held it
