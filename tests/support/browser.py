"""Debian's Chromium, driven by Playwright and logged in at a real service."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tests.support.api_process import ApiProcess
from tests.support.keys import ADMIN_KEY

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
DESKTOP, PHONE = (1280, 800), (390, 844)
# The first is the same engine without windows. Opening a page takes a fifth of the processor time.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")


def chromium_program() -> str:
    """The path of Chromium. Skips the test if it is not installed."""
    found = [path for name in _PROGRAMS if (path := shutil.which(name))]
    if not found:
        pytest.skip("no chromium on the PATH: apt-get install chromium-headless-shell")
    return found[0]


@contextmanager
def running_browser() -> Iterator[Any]:
    """A browser without a window, until the end of the `with` block."""
    program = chromium_program()
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A browser at one service. Each page has its own cookies; `complaints` are the errors of all pages."""

    browser: Any
    api: ApiProcess
    complaints: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}"

    @contextmanager
    def page(
        self,
        size: tuple[int, int] = DESKTOP,
        theme: Literal["light", "dark"] = "light",
        key: str | None = ADMIN_KEY,
    ) -> Iterator[Any]:
        """A new page, logged in with `key`, that has not opened an address yet."""
        context = self.browser.new_context(
            base_url=self.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            reduced_motion="reduce",
            accept_downloads=True,
        )
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        try:
            if key is not None:
                answer = context.request.post("/page/sign-in", data={"key": key}, headers={"Origin": self.url})
                assert answer.status == 200, answer.text()
            yield page
        finally:
            context.close()

    def _hear(self, message: Any) -> None:
        """Record violations of our policy and errors of scripts, but not failed requests, such as a 422."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


def hold_back(page: Any, address: str, times: int | None = None) -> list[Any]:
    """Hold back requests to an address, all or the first `times`, until the test continues them; return their list."""
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route(address, hold, times=times)
    return held


def answer_now(page: Any, address: str, held: list[Any], **answer: Any) -> None:
    """Answer the first request that was held back, by `answer` or by the service, and wait until the page has it."""
    with page.expect_response(address):
        held[0].fulfill(**answer) if answer else held[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done, 50))")


def serious_faults(page: Any) -> list[str]:
    """The violations on a page that axe-core calls serious or critical, each with its place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
