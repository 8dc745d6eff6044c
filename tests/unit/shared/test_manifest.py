"""Which checkpoints are whole."""

import pytest

from shared.document import UnusableDocument
from shared.manifest import Checkpoint, Manifest, read_manifest, write_manifest


def checkpoint(epoch, **metrics):
    return Checkpoint(
        name=f"model-{epoch:02d}.keras",
        epoch=epoch,
        bytes=10,
        sha256="0" * 64,
        saved_at="2026-11-23T19:12:00.000Z",
        metrics=metrics,
    )


def test_without_a_file_there_are_no_checkpoints(tmp_path):
    assert read_manifest(tmp_path / "manifest.json") == Manifest(best=None, checkpoints=())


def test_a_manifest_comes_back_as_it_was_written_a_metric_without_a_value_too(tmp_path):
    manifest = Manifest(best="model-02.keras", checkpoints=(checkpoint(1, loss=0.1 + 0.2), checkpoint(2, loss=None)))
    write_manifest(tmp_path / "manifest.json", manifest)
    assert read_manifest(tmp_path / "manifest.json") == manifest


def test_only_a_checkpoint_that_is_named_is_found():
    manifest = Manifest(checkpoints=(checkpoint(1), checkpoint(2)))
    assert manifest.find("model-02.keras") == checkpoint(2)
    for name in ("model-03.keras", "..", "", "../model-02.keras", "/etc/passwd", "manifest.json"):
        assert manifest.find(name) is None


def test_nan_never_stands_in_a_manifest_and_the_one_before_it_stays(tmp_path):
    before = Manifest(checkpoints=(checkpoint(1, loss=0.5),))
    write_manifest(tmp_path / "manifest.json", before)
    with pytest.raises(ValueError, match="finite number"):
        write_manifest(tmp_path / "manifest.json", Manifest(checkpoints=(checkpoint(2, loss=float("nan")),)))
    assert read_manifest(tmp_path / "manifest.json") == before


@pytest.mark.parametrize("content", [b"", b"{", b"null"])
def test_a_damaged_manifest_is_an_error_and_not_an_empty_one(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UnusableDocument, match=r"manifest\.json is damaged"):
        read_manifest(tmp_path / "manifest.json")
