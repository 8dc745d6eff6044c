"""`heartbeat.json`: an attempt's sign of life, as its worker writes it and its training program reads it.

`count` is for the other workers, who see by their own clocks that it stands still. `began`, the moment before the write
by the monotonic clock, is for the training program alone, which lives on the same machine: a beat that was on its way
while the machine stood still is as old as its beginning, whenever it arrives.
"""

import json
from dataclasses import asdict, dataclass

from shared.document import FORMAT
from shared.durable import encode, read_bytes, replace_file
from shared.job_folder import AttemptFolder


@dataclass(frozen=True)
class Beat:
    """The first of an attempt has the `count` 1. `began` is in seconds."""

    count: int
    began: float


def write_beat(attempt: AttemptFolder, beat: Beat) -> None:
    """Put `beat` in place of the one before it. Raises OSError where the volume does not take it."""
    replace_file(attempt.heartbeat_file, encode({"format": FORMAT, **asdict(beat)}))


def newest_beat(attempt: AttemptFolder) -> Beat | None:
    """None where there is none, since the program runs by hand."""
    content = read_bytes(attempt.heartbeat_file)
    if content is None:
        return None
    document = json.loads(content)
    return Beat(int(document["count"]), float(document["began"]))
