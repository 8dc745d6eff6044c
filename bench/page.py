"""Does the page stutter? `python -m bench.page [--jobs 100] [--before 0] [--seconds 20]`.

Watches a hundred running jobs in the list, then one job with fifty epochs a second, in a real browser. Prints how long
the page's script worked, in milliseconds, in each update and in its longest piece; and how long the browser then took
to lay out and paint. The first drawing is shown separately from later updates. Only computing time of the page's thread
counts, not time in which a busy machine kept it waiting.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from shared.job_folder import AttemptFolder
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.browser import Visitor, running_browser
from tests.support.epochs import epoch, tell
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.redis import running_redis

_EPOCHS_PER_SECOND = 50
_EPOCHS = 100_000
_CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
_SCRIPT = {"FunctionCall", "FireAnimationFrame", "EvaluateScript", "RunMicrotasks", "TimerFire", "EventDispatch"}
_DRAWING = {"UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit"}
# Pieces of script with a smaller gap in seconds belong to one update; the list is read every two seconds.
_APART = 0.5
# Shorter pieces, in milliseconds, are timers that find nothing to do.
_WORTH_COUNTING = 0.3


@dataclass
class Piece:
    """What the page's thread did in one task: when, in seconds; script, and layout and paint, in milliseconds."""

    began: float
    script: float
    drawing: float


@contextmanager
def recorded(visitor: Visitor, page: Any) -> Iterator[list[Piece]]:
    """The pieces of work that the page did inside the block, in order; filled at its end."""
    pieces: list[Piece] = []
    visitor.browser.start_tracing(page=page, categories=_CATEGORIES)
    try:
        yield pieces
    finally:
        pieces += _pieces(json.loads(visitor.browser.stop_tracing())["traceEvents"])


def _pieces(events: list[dict[str, Any]]) -> list[Piece]:
    """Sum the script with the layout that it causes; only what the browser does after it counts as drawing."""
    pieces: list[Piece] = []
    over = dict.fromkeys(("task", "script", "drawing"), 0.0)
    for one in sorted(_of_the_page(events), key=lambda one: (one["ts"], -one["dur"])):
        kind = _kind(one["name"])
        if kind is None or one["ts"] < max(over[kind], over["script"]):
            continue
        over[kind] = one["ts"] + one["dur"]
        if kind == "task":
            pieces.append(Piece(one["ts"] / 1e6, 0.0, 0.0))
        elif pieces:
            setattr(pieces[-1], kind, getattr(pieces[-1], kind) + one.get("tdur", one["dur"]) / 1000)
    return pieces


def _kind(name: str) -> str | None:
    if name == "RunTask":
        return "task"
    if name in _SCRIPT:
        return "script"
    return "drawing" if name in _DRAWING else None


def _of_the_page(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks in the main thread of the browser's busiest page process."""
    threads: dict[tuple[int, int], list[dict[str, Any]]] = {
        (one["pid"], one["tid"]): [] for one in events if _is_main(one)
    }
    for one in events:
        if one["ph"] == "X" and (one["pid"], one["tid"]) in threads:
            threads[one["pid"], one["tid"]].append(one)
    return max(threads.values(), key=lambda own: sum(one["dur"] for one in own))


def _is_main(one: dict[str, Any]) -> bool:
    return bool(one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain")


def updates(pieces: list[Piece]) -> list[list[Piece]]:
    """Group the pieces by update: those that are near in time to each other."""
    found: list[list[Piece]] = []
    for piece in pieces:
        if piece.script + piece.drawing < _WORTH_COUNTING:
            continue
        if not found or piece.began - found[-1][-1].began > _APART:
            found.append([])
        found[-1].append(piece)
    return found


def told(name: str, values: list[float]) -> str:
    """The median, the 95th percentile and the maximum of some durations, as text."""
    if not values:
        return f"{name}: none"
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{name}: median {statistics.median(ordered):.1f}, p95 {late:.1f}, most {ordered[-1]:.1f} of {len(ordered)}"


def the_list(visitor: Visitor, jobs: int, seconds: float) -> None:
    """Measure the list of running jobs, each with a new epoch, forecast and curve at each request."""
    for number in range(jobs):
        attempt = _running(visitor.api.volume, f"job {number}")
        tell(attempt, *(epoch(number, 0.5 + 0.001 * number) for number in range(1, 31)))
    with visitor.page() as page:
        page.route("**/page/rows*", _with_news(count(31)))
        with recorded(visitor, page) as first:
            page.goto("/?limit=100")
            page.locator("tbody tr").nth(jobs - 1).wait_for()
        with recorded(visitor, page) as later:
            page.wait_for_timeout(1000 * seconds)
    print(f"{jobs} running jobs, first drawing: script {sum(one.script for one in first):.1f} ms")
    print(f"  in one piece: most {max(one.script for one in first):.1f}")
    found = updates(later)
    print(told(f"{jobs} running jobs, each update: script", [sum(one.script for one in update) for update in found]))
    print(told("  in one piece", [max(one.script for one in update) for update in found]))
    print(told("  layout and paint", [sum(one.drawing for one in update) for update in found]))


def _with_news(epochs: Iterator[int]) -> Callable[[Any], None]:
    """Change every row at each request, because the service itself renews the rows of a busy volume a few at a time."""

    def answer(route: Any) -> None:
        rows, number = route.fetch(headers={**route.request.headers, "if-none-match": ""}).json(), next(epochs)
        for row in rows["data"]:
            row["epoch"], row["gpu_seconds"] = number, 1.5 * number
            row["best"] = {**row["best"], "epoch": number - 1, "value": 0.9 - 0.4 / number}
            row["patience"] = {**row["patience"], "wait": number % 10}
            row["costs"] = [{"currency": "USD", "total": 0.001 * number}]
            stop = {"p10": number + 2, "p50": number + 9, "p90": number + 40}
            row["forecast"] = {"epoch": number, "stop": stop, "chance_of_better": 0.5}
            row["spark"] = [value + 0.01 * (number % 3) * place for place, value in enumerate(row["spark"])]
        route.fulfill(json=rows, headers={"ETag": str(number)})

    return answer


def the_job(visitor: Visitor, before: int, seconds: float) -> None:
    """Measure the page of a job with `before` finished epochs, and fifty more in each second."""
    attempt = _running(visitor.api.volume, "fast")
    tell(attempt, *(epoch(number, 0.5, epochs=_EPOCHS) for number in range(1, before + 1)))
    with visitor.page() as page:
        page.goto(f"/page/jobs/{attempt.path.parents[1].name}")
        with _told_on([attempt], before + 1, 1 / _EPOCHS_PER_SECOND):
            page.locator("#great-chart canvas").wait_for()
            with recorded(visitor, page) as pieces:
                time.sleep(seconds)
    scripts = [one.script for one in pieces if one.script >= _WORTH_COUNTING]
    share = sum(one.script + one.drawing for one in pieces) / seconds / 1000
    print(told(f"{_EPOCHS_PER_SECOND} epochs a second behind {before}: script in one piece", scripts))
    print(f"  busy for {share:.0%} of the time, in {len(scripts) / seconds:.1f} pieces of script a second")


def _running(volume: Volume, name: str) -> AttemptFolder:
    return claim(put_job(volume, small_spec(name=name, hyperparameters={"epochs": _EPOCHS})))


@contextmanager
def _told_on(attempts: list[AttemptFolder], first: int, every: float) -> Iterator[None]:
    """End an epoch of each attempt every `every` seconds, during the block."""
    over = threading.Event()

    def go_on() -> None:
        began = time.monotonic()
        for number in count(first):
            for attempt in attempts:
                tell(attempt, epoch(number, 0.9 - 0.4 / number, wait=number % 5, epochs=_EPOCHS))
            if over.wait(max(0.0, began + (number - first + 1) * every - time.monotonic())):
                return

    telling = threading.Thread(target=go_on)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--before", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    with ExitStack() as open_ones:
        folder = Path(open_ones.enter_context(tempfile.TemporaryDirectory()))
        redis = open_ones.enter_context(running_redis(folder))
        volume = Volume(folder / "volume")
        put_dataset(volume, learnable_frame())
        api = ApiProcess(volume, redis.url, folder / "api.log")
        open_ones.callback(api.stop)
        api.start()
        visitor = Visitor(open_ones.enter_context(running_browser()), api, [])
        the_list(visitor, asked.jobs, asked.seconds)
        the_job(visitor, asked.before, asked.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
