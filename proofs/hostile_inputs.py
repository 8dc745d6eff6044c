"""Is every hostile input refused with a reason, and not stored? `python -m proofs.hostile_inputs [--every 1]`.

Sends the catalogue of `tests.support.hostile_inputs` to a running API: archives, images, arrays, files of other kinds,
weights, and models as JSON. Each answer must have the right status, be a problem document with a reason, and contain no
path and no traceback. Afterwards the volume must be unchanged, and the API must answer. Meanwhile the peak resident
memory of the API and of its throw-away processes is measured.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shared.volume import Volume
from tests.support.api_process import Answer, ApiProcess
from tests.support.archives import npz_of
from tests.support.hostile_inputs import HostileInput, X, Y, catalogue
from tests.support.memory import watched_memory
from tests.support.redis import running_redis

MOST_SECONDS = 30.0
# The parser of an upload may use 2 GiB by default. None of these inputs needs a tenth of that.
MOST_BYTES = 1024**3
_REFUSED = frozenset({400, 413, 415, 422})


def main() -> int:
    """Exit status 0 only if all were refused as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="send only each n-th input")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_redis(Path(name)) as redis:
        folder = Path(name)
        api = ApiProcess(Volume(folder / "volume"), redis.url, folder / "api.log")
        api.start()
        try:
            faults = send_all(api, asked.every)
        finally:
            api.stop()
    for fault in faults:
        sys.stdout.write(f"FAULT {fault}\n")
    return 1 if faults else 0


def send_all(api: ApiProcess, every: int = 1) -> list[str]:
    """Send each n-th input; return what was not as promised, in sentences."""
    assert api.ask("PUT", "/datasets/arrays", npz_of(x=X, y=Y)).status in {200, 201}
    before, faults, slowest, sent = _files(api.volume), [], 0.0, 0
    with watched_memory(api) as peak:
        for one in list(catalogue("arrays"))[::every]:
            body = one.body()
            began = time.monotonic()
            answer = api.ask(one.method, one.path, body, **_headers(one))
            seconds = time.monotonic() - began
            faults += [f"{one.name}: {fault}" for fault in _faults_of(answer, api, seconds)]
            faults += [f"{one.name}: left {name}" for name in _files(api.volume) - before]
            slowest, sent = max(slowest, seconds), sent + 1
    if api.ask("GET", "/healthz").status != 200:
        faults.append("the API does not answer any more")
    if peak[0] > MOST_BYTES:
        faults.append(f"{peak[0]} bytes of memory were used, expected at most {MOST_BYTES}")
    sys.stdout.write(
        f"{sent} inputs, slowest {slowest:.2f} s, at most {peak[0] / 1024**2:.0f} MiB, {len(faults)} faults\n"
    )
    return faults


def _headers(one: HostileInput) -> dict[str, str]:
    return {"Content-Type": "application/json"} if one.method == "POST" else {}


def _faults_of(answer: Answer, api: ApiProcess, seconds: float) -> Iterator[str]:
    text = answer.body.decode()
    if answer.status not in _REFUSED:
        yield f"answered {answer.status}: {text[:200]}"
        return
    problem = json.loads(text)
    reasons = [one["detail"] for one in problem.get("errors", [])] or [problem["detail"]]
    if answer.headers["Content-Type"] != "application/problem+json" or not all(reasons):
        yield f"gives no reason: {text[:200]}"
    if str(api.volume.root) in text or "Traceback" in text:
        yield f"shows what is inside: {text[:200]}"
    if seconds > MOST_SECONDS:
        yield f"took {seconds:.1f} s"


def _files(volume: Volume) -> set[str]:
    """The files of datasets, models and jobs on the volume, and the markers of open jobs."""
    folders = (volume.datasets, volume.root / "models", volume.root / "jobs", volume.open)
    return {str(path.relative_to(volume.root)) for folder in folders for path in folder.rglob("*")}


if __name__ == "__main__":
    raise SystemExit(main())
