"""Folders of packages that this process uses until it ends."""

import gc
import io
from pathlib import Path

from worker.training.program.overlay_cache import OverlayCache


def test_the_lock_is_held_without_a_file_object_that_nobody_closes(tmp_path: Path) -> None:
    def use(name: str, most_bytes: int) -> Path:
        return OverlayCache(tmp_path, most_bytes).get(name * 64, Path.mkdir, lambda: None)

    used = use("a", 10**6)
    use("b", 0)
    assert used.exists()
    files = [one for one in gc.get_objects() if isinstance(one, io.IOBase) and not one.closed]
    assert not [one for one in files if str(tmp_path) in str(getattr(one, "name", ""))]
