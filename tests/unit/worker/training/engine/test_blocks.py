"""Rows in a file on the worker's own disk."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from shared.storage import classify_storage_error
from worker.training.engine.blocks import memory_mapped


def test_a_worker_disk_without_room_for_the_rows_is_not_taken_for_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("wb"))  # noqa: SIM115
    with pytest.raises(OSError, match="No space") as failed:
        memory_mapped(np.ones(100))
    assert classify_storage_error(failed.value, tmp_path) == "worker_disk_full"
