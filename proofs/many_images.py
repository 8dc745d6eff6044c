"""100,000 small images in one upload: `python -m proofs.many_images [--images 100000]`.

Writes a tar of PNG files of 28 x 28 in ten class folders, uploads it with the client to a running API, and checks the
number of images and what was used: a maximum of 15 minutes and 1 GiB of resident memory, on two cores.
"""

import argparse
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

from fitstop.client import Client
from fitstop.connection import Connection
from shared.volume import Volume
from tests.support.api_process import ApiProcess
from tests.support.archives import picture
from tests.support.keys import ADMIN_KEY
from tests.support.memory import watched_memory
from tests.support.redis import running_redis

MOST_SECONDS = 900.0
MOST_BYTES = 1024**3
_CLASSES = 10


def main() -> int:
    """Exit status 0 only if all images exist and the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_redis(Path(name)) as redis:
        folder = Path(name)
        write_images(folder / "many.tar", asked.images)
        api = ApiProcess(Volume(folder / "volume"), redis.url, folder / "api.log")
        api.start()
        try:
            return upload(api, folder / "many.tar", asked.images)
        finally:
            api.stop()


def write_images(path: Path, count: int) -> None:
    """Write a tar with `count` different images."""
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            content = picture(number, (28, 28))
            member = tarfile.TarInfo(f"{number % _CLASSES}/{number}.png")
            member.size = len(content)
            archive.addfile(member, BytesIO(content))


def upload(api: ApiProcess, path: Path, count: int) -> int:
    """Upload the tar and return the exit status."""
    began = time.monotonic()
    with Client(Connection(f"http://127.0.0.1:{api.port}", ADMIN_KEY)) as client, watched_memory(api) as peak:
        dataset = client.put_dataset("many", path)
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{dataset['rows']} images, {path.stat().st_size / 1024**2:.0f} MiB: {seconds:.0f} s, "
        f"at most {peak[0] / 1024**2:.0f} MiB of memory\n"
    )
    return 0 if dataset["rows"] == count and seconds < MOST_SECONDS and peak[0] < MOST_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
