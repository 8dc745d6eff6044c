"""Every page, light on a desktop and dark on a phone: axe-core finds nothing serious, nothing scrolls sideways."""

import pytest

from shared.times import utc_now
from shared.worker_card import GpuUse, RunningAttempt, WorkerCard
from tests.support.browser import DESKTOP, PHONE, serious_faults
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, put_job, small_spec

PAGES = (
    *(
        "/",
        "/?group=metadata.a&sort=-hyperparameters.epochs&column=tags&column=hyperparameters.epochs",
        "/page/new?like={job}",
        "/page/usage",
        "/page/usage?by=dataset",
        "/page/workers",
        "/page/webhooks",
        "/page/sweeps",
        "/page/sweeps/new?job={job}",
        "/page/datasets",
        "/page/keys",
    ),
    "/page/sign-in",
)


def something_to_see(volume):
    """Put two waiting jobs, a running one, and a worker with a GPU. Return a waiting job and the running one."""
    over, running, _ = (put_job(volume, small_spec(name=name, metadata={"a": "b"})) for name in ("x" * 120, "y", "z"))
    tell(claim(running), *(epoch(number, 0.5 + 0.01 * number) for number in range(1, 21)))
    volume.show_worker(
        WorkerCard(
            worker="w", host="gpu-1", pid=7, device="NVIDIA H200", slots=2, child_start="forkserver", ready=True,
            gpu=GpuUse(used_percent=83, used_bytes=61 * 10**9, total_bytes=141 * 10**9), draining=False,
            running=(RunningAttempt(job=running.id, attempt=1, slot=0),), started_at=utc_now(), seen_at=utc_now(),
        )
    )  # fmt: skip
    return over, running


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everybody_can_use_every_page(still, size, theme):
    over, running = something_to_see(still.api.volume)
    still.api.ask("POST", f"/jobs/{over.id}/cancel")
    still.api.ask("POST", "/webhooks", {"address": f"https://{'x' * 60}.example.com/", "events": ["job.failed"]})
    with still.page(size, theme) as page:
        for path in PAGES:
            page.goto(path.format(job=running.id), wait_until="networkidle")
            assert serious_faults(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path


def test_the_theme_is_kept_and_outweighs_the_systems(still):
    with still.page(theme="light") as page:
        page.goto("/page/usage")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        toggle = page.get_by_role("button", name="Colours")
        toggle.click()
        toggle.click()
        assert toggle.get_attribute("aria-label") == "Colours: dark"
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        toggle.click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_the_keyboard_reaches_what_the_mouse_does(still):
    job = put_job(still.api.volume, small_spec(name="one"))
    with still.page() as page:
        page.goto("/")
        page.locator(f'tr[data-job="{job.id}"]').wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        assert {"Usage", "New job", "theme-toggle", "Running", "filter-text", "view", "pick-all", "one"} <= reached


def test_a_worker_shows_its_gpu_and_what_it_does(still):
    _, running = something_to_see(still.api.volume)
    with still.page() as page:
        page.goto("/page/workers")
        card = page.get_by_role("article", name="Worker on gpu-1")
        for words in ("NVIDIA H200", "83 %", "61 GB of 141 GB", "epoch 20", "Slot 1 is free"):
            card.get_by_text(words).wait_for()
        assert card.get_by_role("link").get_attribute("href") == f"/page/jobs/{running.id}"
        page.get_by_role("cell", name="a slot is free; the job starts within seconds").first.wait_for()
