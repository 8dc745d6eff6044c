"""The hook of a worker that ends because it is idle."""

import logging

import pytest

from shared.settings import Settings
from worker.supervisor.main import _status_after
from worker.supervisor.slots import Leaving


@pytest.mark.parametrize(
    ("hook", "status", "said"),
    [
        ("echo $PLACE", 0, "FITSTOP_IDLE_HOOK is done"),
        ("echo no such $PLACE >&2; exit 3", 1, "FITSTOP_IDLE_HOOK ended with status 3: no such machine"),
    ],
)
def test_a_hook_that_fails_is_the_workers_status_and_its_words_are_logged(
    caplog: pytest.LogCaptureFixture, hook: str, status: int, said: str
) -> None:
    caplog.set_level(logging.INFO)
    assert _status_after(Leaving.IDLE, Settings(idle_hook=hook), {"PLACE": "machine"}) == status
    assert said in caplog.text
