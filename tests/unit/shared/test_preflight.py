import errno
import os
import stat

import pytest

from shared.api_key import is_api_key
from shared.preflight import NoKey, check_volume, main, stack_key

KEY = "k" * 32


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FITSTOP_VOLUME", str(tmp_path / "volume"))
    return tmp_path


def test_the_key_is_made_once_and_is_for_this_user_alone(tmp_path):
    key = stack_key(tmp_path / "admin_key")
    assert is_api_key(key)
    assert stack_key(tmp_path / "admin_key") == key
    assert stat.S_IMODE((tmp_path / "admin_key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["admin_key"]


@pytest.mark.parametrize("content", [b"", b"secret\n", b"\xff\xfe", b"fs_x_y"])
def test_a_file_that_holds_no_key_is_said_and_not_replaced(tmp_path, content):
    (tmp_path / "admin_key").write_bytes(content)
    with pytest.raises(NoKey, match="admin_key"):
        stack_key(tmp_path / "admin_key")
    assert (tmp_path / "admin_key").read_bytes() == content


def test_the_key_of_the_environment_comes_before_the_file(folder, monkeypatch, capsys):
    monkeypatch.setenv("FITSTOP_ADMIN_KEY", KEY)
    assert main(folder / "admin_key") == 0
    assert capsys.readouterr().out == f"{KEY}\n"
    assert [path.name for path in folder.iterdir()] == ["volume"]


def test_a_typo_in_the_environment_leaves_nothing_behind(folder, monkeypatch, capsys):
    monkeypatch.setenv("FITSTOP_SLOT", "2")
    assert main(folder / "admin_key") == 1
    assert "FITSTOP_SLOT=2: unknown variable" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def refuse_links(monkeypatch, code):
    def refuse(*_arguments, **_options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_volume_without_hard_links_is_refused_at_once(folder, monkeypatch, capsys, code):
    refuse_links(monkeypatch, code)
    assert main(folder / "admin_key") == 1
    assert "this filesystem has no hard links, which Fitstop needs" in capsys.readouterr().err
    assert list((folder / "volume").iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_volume_that_is_full_or_broken_for_now_is_not_judged(tmp_path, monkeypatch, code):
    refuse_links(monkeypatch, code)
    check_volume(tmp_path)
    assert list(tmp_path.iterdir()) == []
