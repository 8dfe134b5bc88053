"""What is Modal's own: its client is the real one, what is behind it is modal_server.py."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.engines import tasks
from tests.engines.conftest import Engines
from tests.engines.makers import of_engine
from tests.executors.child import run_child, wait_until
from weft import RuntimeConfig
from weft.errors import InvalidSetting, WorkerCrashed
from weft.executors import ModalExecutor
from weft.pipelines import ModalBackend

modal: Any = pytest.importorskip("modal", reason="needs modal")

pytestmark = [of_engine("modal"), pytest.mark.deadline(120), pytest.mark.leaves_threads("those of Modal's client")]

PATIENCE = 60


@pytest.fixture
def executor(engines: Engines) -> Any:
    return engines.executor("modal")


def image() -> Any:
    return modal.Image.debian_slim()


def test_a_container_that_dies_fails_its_call_and_no_other(executor: ModalExecutor) -> None:
    others = [executor.submit(pow, 2, number) for number in range(10)]
    with pytest.raises(WorkerCrashed, match=r"task 'die' was not run to its end by the Modal app 'tests'.*status"):
        executor.submit(tasks.die).result(PATIENCE)
    assert [future.result(PATIENCE) for future in others] == [2**number for number in range(10)]
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_a_call_that_is_cancelled_is_stopped(executor: ModalExecutor, tmp_path: Path) -> None:
    for number in range(4):  # more than there are containers
        begun = tmp_path / str(number)
        future = executor.submit(tasks.touch_and_wait, str(begun), str(tmp_path / "never"))
        wait_until(begun.exists, "the call runs")
        assert future.cancel()
    assert executor.submit(tasks.touch_and_wait, str(tmp_path / "never"), "").cancel()  # before Modal knows of it
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_a_backend_has_an_app_for_each_call(executor: ModalExecutor) -> None:
    config = RuntimeConfig(backend=ModalBackend("pages", image=image(), max_containers=2))
    assert tasks.diamond.run({"x": 1}, config=config)["both"] == (2, 3)
    results = tasks.diamond.map({"x": [1, 2]}, map_over="x", config=config)
    assert [one["both"] for one in results] == [(2, 3), (3, 4)]


@pytest.mark.parametrize(
    ("arguments", "settings", "why"),
    [
        (("resize",), {}, "app.*give a modal.App"),
        ((modal.App("resize"),), {"max_containers": 0}, "max_containers"),
        ((modal.App("resize"),), {"gpus": 1}, "function.*takes no such thing.*gpus"),
    ],
)
def test_what_is_refused_at_once(arguments: Any, settings: Any, why: str) -> None:
    with pytest.raises(InvalidSetting, match=why):
        ModalExecutor(*arguments, **settings)


def test_an_app_that_runs_already_is_refused(executor: ModalExecutor) -> None:
    with pytest.raises(InvalidSetting, match="app.*runs already"):
        ModalExecutor(executor._app)


def test_what_modal_refuses_is_told(executor: ModalExecutor) -> None:
    with pytest.raises(InvalidSetting, match=r"app='refused'.*PermissionDenied.*may not run apps"):
        ModalExecutor(modal.App("refused"), image=image())


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"MODAL_TOKEN_ID": "", "MODAL_TOKEN_SECRET": ""}, r"AuthError: Token missing.*modal token new"),
        ({"MODAL_SERVER_URL": "http://127.0.0.1:9"}, "modal token new"),
    ],
)
def test_nobody_is_let_in(tmp_path: Any, variables: dict[str, str], why: str) -> None:
    """In a program of its own: Modal's client reads its configuration once."""
    program = """
import time, modal
from weft.errors import InvalidSetting
from weft.executors import ModalExecutor
began = time.monotonic()
try:
    ModalExecutor(modal.App("a"), image=modal.Image.debian_slim())
except InvalidSetting as error:
    print(error)
print(time.monotonic() - began)
"""
    nobody = {"HOME": str(tmp_path), "MODAL_TOKEN_ID": "ak-1", "MODAL_TOKEN_SECRET": "as-1"}
    ended = run_child(program, **{**nobody, **variables})
    ended.check_sound()
    said, seconds = ended.output.splitlines()[-2:]
    assert re.search(why, said), said
    assert float(seconds) < 10
