import stat

import pytest

from fitstop.local.admin_key import admin_key, admin_key_file
from fitstop.local.ports import StackError
from shared.api_key import is_api_key


def test_the_key_is_made_once_and_is_for_this_user_alone(tmp_path):
    key = admin_key(tmp_path)
    assert is_api_key(key)
    assert admin_key(tmp_path) == key
    assert stat.S_IMODE(admin_key_file(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["admin_key"]


@pytest.mark.parametrize("content", [b"", b"secret\n", b"\xff\xfe", b"fs_x_y"])
def test_a_file_that_holds_no_key_is_said_and_not_replaced(tmp_path, content):
    admin_key_file(tmp_path).write_bytes(content)
    with pytest.raises(StackError, match="admin_key"):
        admin_key(tmp_path)
    assert admin_key_file(tmp_path).read_bytes() == content
