"""`ModalExecutor`: calls, maps and pipelines in containers of Modal's (extra ``modal``).

One function of the app runs them all: it is handed a call in bytes, and gives its outcome in bytes. The app runs for as
long as the executor is open, from the moment it is made. Modal's client is asynchronous: one thread has a loop for it.

A container that dies, or a call that outlasts the function's ``timeout``, fails its calls with `WorkerCrashed`: Modal
runs them again only if ``retries`` of the function say so. A call that is cancelled is stopped, if it runs already.
Pinned by tests/engines/test_modal.py.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any

from weft.errors import InvalidSetting, WorkerCrashed
from weft.executors._cluster import PATIENCE, ClusterExecutor, ClusterFuture, imported
from weft.executors._worker_threads import start_thread

__all__ = ["ModalExecutor"]

_FUNCTION = {"name": "weft", "serialized": True, "include_source": False}
"""It is sent by value, and needs nothing of the folder that the program lies in."""


class ModalExecutor(ClusterExecutor):
    """Runs calls in the containers of a Modal app.

    Args:
        app: A ``modal.App``, which does not run yet: the executor runs it, and ends it.
        image: The ``modal.Image`` of the containers, which has weft in the caller's version, the caller's version of
            Python, and what your functions need. None: Debian with Python and weft, from the package index.
        max_containers: How many containers there may be at a time.
        **function: What else ``modal.App.function`` takes, such as ``gpu="A10G"``, ``cpu=2``, ``timeout=600``.

    Raises:
        InvalidSetting: It is no app, it runs already, or Modal does not let us in: no token, or nobody answers.
        MissingDependency: The package modal is not installed.

    Example:
        >>> import modal  # doctest: +SKIP
        >>> from weft.executors import ModalExecutor
        >>> with ModalExecutor(modal.App("resize"), gpu="A10G") as executor:  # doctest: +SKIP
        ...     executor.submit(divmod, 7, 2).result()
        (3, 1)
    """

    def __init__(self, app: Any, *, image: Any = None, max_containers: int = 10, **function: Any) -> None:
        super().__init__()
        modal = imported("modal", "modal")
        if not isinstance(app, modal.App):
            raise InvalidSetting(setting="app", value=app, remedy="give a modal.App, such as modal.App('resize')")
        if app.app_id is not None:
            remedy = "this app runs already: make the executor instead of `app.run()`, it runs and ends the app"
            raise InvalidSetting(setting="app", value=app.name, remedy=remedy)
        if isinstance(max_containers, bool) or not isinstance(max_containers, int) or max_containers < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidSetting(
                setting="max_containers", value=max_containers, remedy="give a whole number, 1 or more"
            )
        self._app = app
        self._containers = max_containers
        image = _image(modal) if image is None else image
        try:
            made = app.function(**{**_FUNCTION, "image": image, "max_containers": max_containers, **function})
        except TypeError as error:
            remedy = f"modal.App.function takes no such thing: {error}"
            raise InvalidSetting(setting="function", value=[*function], remedy=remedy) from error
        self._function = made(_function())
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="weft-modal", daemon=True)
        start_thread(self._thread)
        self._wait_until(ready)

    def __repr__(self) -> str:
        return f"<ModalExecutor {self._app.name!r}>"

    @property
    def max_workers(self) -> int:
        """How many containers there may be at a time."""
        return self._containers

    # ---- the loop's thread ----------------------------------------------------------------------------------------

    def _wait_until(self, ready: concurrent.futures.Future[None]) -> None:
        try:
            ready.result()
        except Exception as error:
            self._thread.join()
            why = " ".join(str(error).split())[:300] or type(error).__name__
            remedy = f"Modal does not run it ({type(error).__name__}: {why}): `modal token new` logs you in"
            raise InvalidSetting(setting="app", value=self._app.name, remedy=remedy) from error
        except BaseException:  # Ctrl-C
            self._loop.call_soon_threadsafe(self._over.set)
            raise

    def _serve(self, ready: concurrent.futures.Future[None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._run(ready))
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)

    async def _run(self, ready: concurrent.futures.Future[None]) -> None:
        await asyncio.wait_for(imported("modal", "modal").Client.from_env.aio(), PATIENCE)
        async with self._app.run():
            ready.set_result(None)
            await self._over.wait()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop)

    # ---- for the base -----------------------------------------------------------------------------------------------

    def _launch(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        self._do(self._call(future, payload, blobs))

    async def _call(self, future: ClusterFuture, payload: bytes, blobs: tuple[Any, ...]) -> None:
        try:
            future.handle = call = await self._function.spawn.aio(payload, *blobs)
            if future.cancelled():
                await call.cancel.aio()
                return
            outcome: bytes | BaseException = await call.get.aio()
        except BaseException as error:
            outcome = self._told(future, error)
        future.settle(outcome)

    def _cancel(self, future: ClusterFuture) -> None:
        handle, future.handle = future.handle, None
        if handle is not None:
            self._do(handle.cancel.aio())

    def _close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _told(self, future: ClusterFuture, error: BaseException) -> BaseException:
        """An error of Modal's: the call itself never raises."""
        why = " ".join(str(error).split())[:300] or type(error).__name__
        made = WorkerCrashed(
            f"task {future.name!r} was not run to its end by the Modal app {self._app.name!r}: {type(error).__name__}: "
            f"{why}; see the app's logs: it may have run out of memory or time, and its image needs weft in the "
            "caller's version",
            task=future.name,
        )
        made.__cause__ = error
        return made


def _image(modal: Any) -> Any:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return modal.Image.debian_slim(python_version=python).pip_install(f"weft[closures]=={version('weft')}")


def _function() -> Any:
    def call(payload: bytes, *blobs: bytes) -> bytes:
        from weft._payloads import far

        return far.call(payload, *blobs)

    return call
