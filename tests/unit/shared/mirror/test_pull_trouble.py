"""The process that looks reports to the others on its folder that the bucket is unavailable."""

import pytest

from shared.mirror.attached import detach
from shared.mirror.known import KnownFiles
from shared.mirror.mirror import Mirror
from shared.mirror.pull import Puller
from shared.store.folder import FolderStore
from shared.store.interface import NoAnswer


def test_of_several_processes_on_one_folder_all_know_that_the_bucket_is_away(tmp_path, monkeypatch, caplog):
    root, store = tmp_path / "api", FolderStore(tmp_path / "bucket")
    root.mkdir()
    mirrors = [Mirror(root, store, KnownFiles(tmp_path / "api.sqlite")) for _ in range(2)]
    looking, other = map(Puller, mirrors)
    assert looking.look()
    assert other.look()

    def fail(_folder=""):
        raise NoAnswer("s3://bucket: no answer")

    with monkeypatch.context() as network:
        network.setattr(store, "list", fail)
        assert not looking.look()
        assert not other.look()
        assert not looking.look()
        for one in mirrors:
            with pytest.raises(OSError, match="no answer"):
                one.check()
    assert looking.look()
    assert other.look()
    assert [one.message for one in caplog.records].count("the bucket is away: s3://bucket: no answer") == 2
    detach(root)
