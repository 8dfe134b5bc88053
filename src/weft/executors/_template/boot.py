"""The first code of a template process: `python boot.py`, with the socket and the lifeline as descriptors 3 and 4.

Reads where the caller finds modules, among them weft itself, then goes on in serving.py. A file of its own and not
`python -m`, since before that nothing of weft can be imported; and not `python -c`, so that `ps` shows what it is.
Pinned by tests/executors/test_template.py.
"""

SOCKET = 3
LIFELINE = 4


def read_orders() -> "dict[str, object]":
    """The caller's first message; its header is that of messages.py."""
    from marshal import loads
    from posix import read

    def take(count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = read(SOCKET, count - len(data))
            if not part:
                raise SystemExit(0)  # the caller has gone already
            data += part
        return data

    return loads(take(int.from_bytes(take(8)[:6])))[0]


def main() -> None:
    """Becomes the template."""
    import gc
    import sys

    gc.disable()  # a tenth of the time of these imports, to find nothing; serving.py turns it on again
    orders = read_orders()
    sys.path[:] = orders["surroundings"][2]  # type: ignore[index]
    from weft.executors._template.serving import serve

    serve(SOCKET, LIFELINE, orders)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
