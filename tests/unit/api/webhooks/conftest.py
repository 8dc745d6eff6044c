"""A sender that looks often and may send to this machine."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from api.state import index
from api.state.service import Service
from api.state.webhook_store import WebhookStore
from api.webhooks import sender
from api.webhooks.sender import Sender
from shared.settings import Settings

_WITHIN_SECONDS = 100.0


@pytest.fixture
def store(app: Flask) -> WebhookStore:
    return Service.of(app).webhooks


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(index, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def run_until(settings: Settings) -> Callable[[Callable[[], object]], None]:
    """Run a sender until a condition holds, then end it as a kill would: what it has in memory is lost."""
    sending = settings.model_copy(update={"webhook_networks": "127.0.0.0/8"})

    async def run(condition: Callable[[], object]) -> None:
        task = asyncio.create_task(Sender(sending, first_wait_seconds=0.02).run())
        deadline = time.monotonic() + _WITHIN_SECONDS
        while not condition():
            if task.done():
                task.result()
            assert time.monotonic() < deadline, "in time"
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def run_in_thread(condition: Callable[[], object]) -> None:
        # A browser that other tests drive has an event loop in this thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(run(condition))).result()

    return run_in_thread
