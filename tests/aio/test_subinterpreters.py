"""Awaiting inside of sub-interpreters with a GIL of their own, side by side: each loop is told by its own interpreter."""

import sys

import pytest

from tests.executors.child import run_child

pytestmark = [
    pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters comes with Python 3.14"),
    pytest.mark.deadline(120),
]


def test_loops_in_several_interpreters() -> None:
    run_child(
        """if 1:
        import threading
        from concurrent import interpreters

        INSIDE = '''if 1:
            import asyncio
            from weft import aio
            from weft.errors import Interrupted
            from weft.executors import ThreadPoolExecutor

            def spin():
                while True:
                    pass

            async def main():
                with ThreadPoolExecutor(2) as pool:
                    for _ in range(5):
                        futures = [pool.submit(pow, n, 2) for n in range(200)]
                        assert await asyncio.gather(*futures) == [n**2 for n in range(200)]
                        assert await aio.await_all(futures) == tuple(n**2 for n in range(200))
                    running = pool.submit(spin)
                    while not running.running():
                        await asyncio.sleep(0)
                    try:
                        async with asyncio.timeout(0.01):
                            await running
                    except TimeoutError:
                        pass
                    assert isinstance(running.exception(30), Interrupted)

            asyncio.run(main())
        '''
        failures = []

        def run():
            interpreter = interpreters.create()
            try:
                interpreter.exec(INSIDE)
            except BaseException as error:
                failures.append(error)
            interpreter.close()

        for _ in range(2):
            threads = [threading.Thread(target=run) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        """,
        seconds=60,
    ).check_sound()
