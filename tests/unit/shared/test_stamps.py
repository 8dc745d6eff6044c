"""The stamp of a file changes with the file."""

import os

from shared.durable import replace_file
from shared.stamps import file_stamp


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_has_another_stamp(tmp_path):
    file = tmp_path / "file"
    assert file_stamp(file) is None
    replace_file(file, b"one")
    before = file_stamp(file)
    assert file_stamp(str(file)) == before
    replace_file(file, b"two")
    os.utime(file, ns=(before[-1], before[-1]))
    assert file_stamp(file) != before


def test_a_file_that_grows_within_one_tick_of_the_clock_has_another_stamp(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    before = file_stamp(file)
    file.write_bytes(b"more")
    os.utime(file, ns=(before[-1], before[-1]))
    assert file_stamp(file) != before
