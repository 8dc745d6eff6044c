"""A volume is distinguished from the empty folder in its place while it is not mounted."""

import errno
import json
from pathlib import Path

import pytest

from shared import volume_identity
from shared.volume import Volume
from shared.volume_identity import MARKER_FILE, VolumeAway


def test_a_new_volume_is_marked_and_every_process_knows_it(tmp_path: Path) -> None:
    first, second = Volume(tmp_path / "volume"), Volume(tmp_path / "volume")
    first.check()
    second.check()
    document = json.loads((tmp_path / "volume" / MARKER_FILE).read_text())
    assert (document["format"], len(document["id"])) == (1, 36)


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_volume_of_an_older_fitstop_is_marked_where_it_lies(tmp_path: Path, is_empty: bool) -> None:
    for name in ("jobs", "datasets", "open", "workers", "deleted"):
        (tmp_path / name).mkdir()
    if not is_empty:
        (tmp_path / "jobs" / "AB").mkdir()
    Volume(tmp_path).check()
    assert (tmp_path / MARKER_FILE).exists()


def test_an_empty_folder_in_its_place_is_no_volume_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    volume = Volume(root)
    root.rename(tmp_path / "elsewhere")
    root.mkdir()
    for _ in range(2):
        with pytest.raises(VolumeAway, match="not mounted"):
            volume.check()
    assert list(root.iterdir()) == []
    root.rmdir()
    (tmp_path / "elsewhere").rename(root)
    volume.check()


def test_another_volume_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "volume")
    (tmp_path / "volume").rename(tmp_path / "elsewhere")
    Volume(tmp_path / "volume")
    with pytest.raises(VolumeAway, match="another volume"):
        volume.check()


def test_an_existing_volume_that_cannot_be_marked_now_is_used_and_marked_by_another_process_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Volume(tmp_path)
    (tmp_path / MARKER_FILE).unlink()

    def refuse(*_: object) -> bool:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(volume_identity, "create_file", refuse)
        volume = Volume(tmp_path)
        volume.check()
        with pytest.raises(OSError, match="Read-only"):
            Volume(tmp_path / "new")
    Volume(tmp_path)
    volume.check()
    (tmp_path / MARKER_FILE).unlink()
    with pytest.raises(VolumeAway):
        volume.check()


def test_room_and_a_probe_are_asked_for_in_bytes(volume: Volume) -> None:
    volume.check_room(1)
    with pytest.raises(OSError, match="No space") as full:
        volume.check_room(2**62)
    assert full.value.errno == errno.ENOSPC
    volume.probe(3 * 1024**2 + 17)
    assert list(volume.deleted.iterdir()) == []


def test_a_probe_that_fails_leaves_nothing(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Quota exceeded")

    monkeypatch.setattr("shared.durable.os.fsync", refuse)
    with pytest.raises(OSError, match="Quota"):
        volume.probe(10)
    assert list(volume.deleted.iterdir()) == []
