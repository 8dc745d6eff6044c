"""Ids that become names of folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.ids import DatasetId, is_dataset_id, is_job_id, new_job_id

JOB_ID = "job_01M8J2297QKEAB882W9ETK96FF"


def test_new_ids_are_job_ids_and_differ():
    ids = {new_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(map(is_job_id, ids))


def test_ids_sort_by_the_time_at_which_they_were_made(monkeypatch):
    moments = [1_700_000_000.0, 1_700_000_000.001, 1_700_000_001.0, 1_900_000_000.0]
    made = []
    for moment in moments:
        monkeypatch.setattr("time.time", lambda moment=moment: moment)
        monkeypatch.setattr("time.time_ns", lambda moment=moment: int(moment * 1e9))
        made.append(new_job_id())
    assert made == sorted(made)


@pytest.mark.parametrize(
    "text",
    ["", "job_", "job_..", "../../etc/passwd", "..%2f..%2fetc", "job_" + "A" * 10_000, "job_" + "a" * 26,
     "job_" + "I" * 26, "job_" + "0" * 26 + "\n", "job_" + "0" * 25 + "/", "x" + JOB_ID, JOB_ID + "x",
     "job_" + "٣" * 26],
)  # fmt: skip
def test_what_is_no_job_id_is_known_without_a_look_at_the_disk(text):
    assert not is_job_id(text)


@pytest.mark.parametrize("text", ["wine-quality", "a", "0", "a.b_c-d", "x" * 64])
def test_a_dataset_may_have_a_plain_name(text):
    assert is_dataset_id(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", ".hidden", "-a", "_a", "A", "a/b", "a\\b", "a b", "a\n", "a\x00", "%2e%2e", "ä", "x" * 65]
)
def test_a_dataset_may_not_have_a_name_that_a_path_could_trip_over(text):
    assert not is_dataset_id(text)


@given(st.text(max_size=70) | st.from_regex(r"[a-z0-9._-]{0,66}\n?", fullmatch=True))
def test_the_spec_and_the_folders_agree_on_what_names_a_dataset(text):
    try:
        TypeAdapter(DatasetId).validate_python(text)
    except ValidationError:
        assert not is_dataset_id(text)
    else:
        assert is_dataset_id(text)
        assert "/" not in text
        assert not text.startswith(".")
