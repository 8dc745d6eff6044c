"""Does the page of a sweep stutter? `make bench-sweep-page`.

Watches a sweep of 5,000 trials in a real browser while a trial ends each second, then moves the pointer over its
figures. Prints what `bench.page` prints, the milliseconds in which the page's thread computed, and how many rows of
trials the page requested. The first trial does not end, as a long one would not.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.page import Piece, recorded, told, updates
from shared.sweep.folder import SweepFolder
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.browser import Visitor, running_browser
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.many_trials import many_trials
from tests.support.past_sweeps import end_trial
from tests.support.redis import running_redis

# Browsers call a longer task a long task.
LONG_MS = 50.0
_MOVES = 60


def watch(visitor: Visitor, folder: SweepFolder, trials: int, seconds: float) -> None:
    """Measure the first drawing, the updates while trials end, and a pointer over the figures."""
    rows: list[int] = []
    with visitor.page() as page:
        page.on("response", lambda answer: _count_rows(answer, rows))
        # Let the API read the trials for the first time.
        page.request.get(f"/sweeps/{folder.id}", timeout=120_000)
        with recorded(visitor, page) as first:
            page.goto(f"/page/sweeps/{folder.id}")
            page.wait_for_selector("#trials tbody tr.best")
            page.wait_for_timeout(1000)
        show("first drawing", first, rows)
        with _trials_end(visitor.api.volume, folder, trials + 1), recorded(visitor, page) as later:
            page.wait_for_timeout(1000 * seconds)
        show("each update", later, rows)
        with recorded(visitor, page) as moved:
            for figure in ("parallel", "scatter", "curve"):
                _move_over(page, figure)
        show("pointer", moved, rows)


def _count_rows(answer: Any, rows: list[int]) -> None:
    if "/trials?" in answer.url and answer.ok:
        rows.append(len(answer.json()["data"]))


def _move_over(page: Any, figure: str) -> None:
    canvas = page.locator(f"#{figure} canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for step in range(_MOVES):
        page.mouse.move(box["x"] + box["width"] * (step + 1) / (_MOVES + 1), box["y"] + box["height"] * 0.5)


@contextmanager
def _trials_end(volume: Volume, folder: SweepFolder, first: int) -> Iterator[None]:
    """End one more trial each second, during the block."""
    over = threading.Event()

    def run() -> None:
        number = first
        while not over.wait(1.0):
            end_trial(volume, folder, number, 0.5, "epochs_completed")
            number += 1

    ending = threading.Thread(target=run)
    ending.start()
    try:
        yield
    finally:
        over.set()
        ending.join()


def show(name: str, pieces: list[Piece], rows: list[int]) -> None:
    """Print the lines of one part, and clear `rows`."""
    found = updates(pieces)
    longest = [max(one.script + one.drawing for one in update) for update in found]
    sys.stdout.write(told(f"{name}: script", [sum(one.script for one in update) for update in found]) + "\n")
    sys.stdout.write(told("  in one task, with layout and paint", longest) + "\n")
    sys.stdout.write(f"  tasks over {LONG_MS:.0f} ms: {sum(one.script + one.drawing > LONG_MS for one in pieces)}\n")
    sys.stdout.write(f"  rows of trials: {sum(rows)} in {len(rows)} answers\n")
    sys.stdout.flush()
    rows.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--picture", type=Path, help="where a picture of the page is written")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        redis = stack.enter_context(running_redis(folder))
        volume = Volume(folder / "volume")
        put_dataset(volume, learnable_frame())
        sweep = many_trials(volume, asked.trials, is_first_open=True)
        api = ApiProcess(volume, redis.url, folder / "api.log")
        stack.callback(api.stop)
        api.start()
        visitor = Visitor(stack.enter_context(running_browser()), api, [])
        watch(visitor, sweep, asked.trials, asked.seconds)
        if asked.picture:
            with visitor.page() as page:
                page.goto(f"/page/sweeps/{sweep.id}")
                page.wait_for_selector("#trials tbody tr.best")
                page.screenshot(path=asked.picture, full_page=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
