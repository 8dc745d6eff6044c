"""Each exit status has one meaning."""

from typing import get_args

from shared.storage import StorageCode
from worker.ipc.exit_statuses import CODE_OF_STATUS, CPU_ONLY, SERVER_GONE, STATUS_OF_STORAGE, SUPERSEDED


def test_no_status_says_two_things_and_none_is_pythons_own():
    statuses = [SUPERSEDED, CPU_ONLY, SERVER_GONE, *STATUS_OF_STORAGE.values()]
    assert len(set(statuses)) == len(statuses)
    assert not {0, 1, 2} & set(statuses)
    assert all(0 < status < 256 for status in statuses)


def test_each_storage_that_fails_has_a_status():
    assert set(STATUS_OF_STORAGE) == set(get_args(StorageCode))
    assert {CODE_OF_STATUS[status]: status for status in CODE_OF_STATUS} == STATUS_OF_STORAGE
