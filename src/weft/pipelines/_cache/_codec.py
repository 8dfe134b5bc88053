"""Values in bytes, with a checksum, and back.

An entry is a mark, a digest of the rest, a letter for how it is written, and the value: `marshal` for what is plain,
else pickle. What is not whole, or not to be read by this version, is `Damaged`.
Pinned by tests/pipelines/test_caches.py.
"""

from __future__ import annotations

import marshal
from hashlib import blake2b
from typing import Any

from weft._payloads.main_module import is_interruption
from weft._payloads.pickling import dump, load

__all__ = ["Damaged", "Unkept", "decode", "encode"]

_MARK = b"weft\x01"
_SUM = 16
_HEAD = len(_MARK) + _SUM
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})


class Damaged(Exception):
    """Bytes that are no whole entry."""


class Unkept(Exception):
    """A value that cannot be pickled."""


def encode(value: Any) -> bytes:
    """An entry.

    Raises:
        Unkept: It cannot be pickled.
    """
    if type(value) in _PLAIN:
        body = b"m" + marshal.dumps(value, 4)
    else:
        data, culprit, error = dump(value, None)
        if data is None:
            raise Unkept(f"a {type(culprit).__name__} cannot be pickled: {error}") from error
        body = b"p" + data
    return b"".join((_MARK, blake2b(body, digest_size=_SUM).digest(), body))


def decode(entry: bytes) -> Any:
    """The value of an entry.

    Raises:
        Damaged: It is not what was written, or cannot be read here.
    """
    if not entry.startswith(_MARK) or len(entry) <= _HEAD:
        raise Damaged("it is cut short, or none of weft's")
    body = entry[_HEAD:]
    if blake2b(body, digest_size=_SUM).digest() != entry[len(_MARK) : _HEAD]:
        raise Damaged("its checksum is wrong")
    try:
        if body[0] == 0x6D:
            return marshal.loads(memoryview(body)[1:])
        return load(memoryview(body)[1:])
    except BaseException as error:
        if is_interruption(error):
            raise
        raise Damaged(f"it cannot be read: {type(error).__name__}: {error}") from error
