"""What a sweep of 5,000 trials costs the API to read: `make bench-sweep-reads`.

Counts the opened files and the CPU seconds of the first read ever, of the first read after a restart with the files
that this host has kept, and of another read; for the sweep, for the pages of its trials, and for the list.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask.testing import FlaskClient

from api import create_app
from shared.settings import Settings
from shared.volume import Volume
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.many_trials import many_trials
from tests.support.reads import counted_reads


def measure(act: Callable[[], object]) -> tuple[float, int]:
    """The CPU seconds, and the number of files opened."""
    with counted_reads() as names:
        began = time.process_time()
        act()
        return time.process_time() - began, len(names)


def ask(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text


def trial_pages(client: FlaskClient, sweep_id: str) -> None:
    after, more = 0, True
    while more:
        page = client.get(f"/sweeps/{sweep_id}/trials?limit=1000&after={after}").json
        assert page is not None
        after, more = page["data"][-1]["number"], page["has_more"]


def main() -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--ended", type=int, default=5, help="sweeps that have ended, beside the one that runs")
    asked = parser.parse_args()
    # There is no Redis here, about which each client's first request logs a warning.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        settings = Settings(
            volume=Path(name) / "volume",
            index_folder=Path(name) / "kept",
            redis_url="redis://127.0.0.1:1/0",
            admin_key=ADMIN_KEY,
        )
        volume = Volume(settings.volume)
        put_dataset(volume, learnable_frame())
        for number in range(asked.ended):
            many_trials(volume, asked.trials, has_ended=True, seed=number)
        sweep_id = many_trials(volume, asked.trials, seed=asked.ended).id
        time.sleep(2.1)  # until the folders count as unchanged
        show(settings, sweep_id)
    return 0


def show(settings: Settings, sweep_id: str) -> None:
    """Print one line for each question: on a new host, after a restart, and again."""
    questions: dict[str, Callable[[FlaskClient], object]] = {
        "one sweep": lambda client: ask(client, f"/sweeps/{sweep_id}"),
        "its trials": lambda client: trial_pages(client, sweep_id),
        "the list": lambda client: ask(client, "/sweeps"),
    }
    sys.stdout.write(f"{'':12s} {'':14s} {'files':>8s} {'seconds':>9s} {'of a new host':>14s}\n")
    for name, question in questions.items():
        whole = None
        for when, folder in (("new host", name), ("restart", name), ("again", None)):
            if folder is not None:
                client = authorized(
                    create_app(settings.model_copy(update={"index_folder": settings.index_folder / folder}))
                )
            seconds, files = measure(lambda: question(client))  # noqa: B023  called at once
            whole = whole or seconds
            sys.stdout.write(f"{name:12s} {when:14s} {files:8d} {seconds:9.3f} {seconds / whole:14.1%}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
