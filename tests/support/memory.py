"""The resident memory of an API that is served, with its temporary processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.api_process import ApiProcess

_PAGE_BYTES = 4096


@contextmanager
def watched_memory(api: ApiProcess) -> Iterator[list[int]]:
    """Watch the API's processes; the only item of the list is the maximum of their resident memory, in bytes."""
    peak, is_over = [0], threading.Event()

    def watch() -> None:
        assert api.process is not None
        while not is_over.wait(0.02):
            peak[0] = max(peak[0], sum(map(_resident_bytes, _family(api.process.pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [
            child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
