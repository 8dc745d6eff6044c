"""How long does it take to judge the worst request bodies? `python -m proofs.worst_bodies`.

Posts each body of `tests.support.worst_bodies` to the routes that judge bodies, at the largest size that they accept,
in this process. Prints the CPU time of the thread, the best of three, in milliseconds.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from api import create_app
from api.http.strict_json import SMALL_BODY_BYTES
from api.state.service import Service
from shared.settings import Settings
from tests.support.finished_job import finished_job
from tests.support.jobs import learnable_frame, put_dataset
from tests.support.keys import ADMIN_KEY, authorized
from tests.support.worst_bodies import worst_bodies

MOST_MILLISECONDS = 250


def main() -> int:
    """Exit status 0 only if each body was answered in time."""
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(volume=Path(folder) / "volume", redis_url="redis://127.0.0.1:1/0", admin_key=ADMIN_KEY)
        app = create_app(settings)
        volume = Service.of(app).volume
        put_dataset(volume, learnable_frame())
        names = [f"column_{number:04d}_{'abcdefghij' * 18}"[:185] for number in range(4096)]
        put_dataset(volume, pd.DataFrame(np.zeros((3, 4096)), columns=names), "wide")
        job, client = finished_job(volume), authorized(app)
        routes = {
            "/jobs?dry_run=true": settings.max_job_bytes,
            f"/jobs/{job.id}/replay": SMALL_BODY_BYTES,
            f"/jobs/{job.id}/extend": SMALL_BODY_BYTES,
            "/keys": SMALL_BODY_BYTES,
            "/webhooks": SMALL_BODY_BYTES,
        }
        for route, most_bytes in routes.items():
            for name, body in worst_bodies(most_bytes).items():
                taken = min(_milliseconds(client, route, body) for _ in range(3))
                slowest = max(slowest, taken)
                sys.stdout.write(f"{route.replace(job.id, '{id}')} {name}: {taken:.0f} ms of {len(body)} bytes\n")
    sys.stdout.write(f"slowest: {slowest:.0f} ms\n")
    return 0 if slowest < MOST_MILLISECONDS else 1


def _milliseconds(client, route: str, body: bytes) -> float:  # type: ignore[no-untyped-def]
    began = time.thread_time()
    client.post(route, data=body, content_type="application/json")
    return (time.thread_time() - began) * 1000


if __name__ == "__main__":
    raise SystemExit(main())
