"""`heartbeat.json`: an attempt's heartbeat, written by its worker and read by its training process.

count     a counter for other workers, which notice by their own clocks when it stops
began     the moment before the write, by the machine's monotonic clock. For the training process, which runs on the
          same machine: if the machine was frozen during the write, the heartbeat is as old as the write's beginning
elapsed   seconds from the claim to `began`. From it the training process computes the moment of the claim, and the
          worker that ends a lost attempt computes how long the attempt held its GPU
"""

import json
import math
from dataclasses import asdict, dataclass

from shared.document import FORMAT
from shared.durable import encode, read_bytes, replace_file
from shared.job_folder import AttemptFolder


@dataclass(frozen=True)
class Beat:
    """One heartbeat. `count` starts at 1. Times are in seconds; None if an older version wrote no `elapsed`."""

    count: int
    began: float
    elapsed: float | None = None


def write_beat(attempt: AttemptFolder, beat: Beat) -> None:
    """Replace the heartbeat. Raises OSError if the volume cannot store it."""
    replace_file(attempt.heartbeat_file, encode({"format": FORMAT, **asdict(beat)}))


def newest_beat(attempt: AttemptFolder) -> Beat | None:
    """The newest heartbeat; None if there is none, because the program was started by hand."""
    content = read_bytes(attempt.heartbeat_file)
    if content is None:
        return None
    document = json.loads(content)
    count, began = int(document["count"]), float(document["began"])
    elapsed = document.get("elapsed")
    return Beat(count, began, None if elapsed is None else float(elapsed))


def moment_of_claim(attempt: AttemptFolder) -> float | None:
    """When the attempt was claimed, by this machine's monotonic clock; for its training process.

    None if there is no heartbeat, because the program was started by hand.
    """
    beat = newest_beat(attempt)
    return None if beat is None or beat.elapsed is None else beat.began - beat.elapsed


def held_by_last_beat(attempt: AttemptFolder, heartbeat_seconds: float) -> float | None:
    """Seconds for which a lost attempt held its GPU: until one interval after its last heartbeat, or after its claim.

    None if the heartbeat is damaged, or if an older version wrote it without `elapsed`.
    """
    try:
        beat = newest_beat(attempt)
    except (ValueError, KeyError, TypeError):
        return None
    elapsed = 0.0 if beat is None else beat.elapsed
    if elapsed is None or not 0 <= elapsed < math.inf:
        return None
    return round(elapsed + heartbeat_seconds, 6)
