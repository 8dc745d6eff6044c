"""The file of an attempt's system metrics: what it holds after a week, and how a reader handles any content."""

import json
from dataclasses import replace

import pytest

from shared.document import UnusableDocument
from shared.system_metrics import (
    COLUMNS,
    MOST_SAMPLES,
    Sample,
    merge_all_to,
    read_system_metrics,
    sample_line,
    thin_out,
)
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.system import GPU, leave_system, seconds_of

LARGEST = Sample(
    at=6_048_000.25, seconds=512.123, cpu_cores=127.123, memory_bytes=2e12, disk_read=19_123_456_789.0,
    disk_written=19_123_456_789.0, gpu_percent=99.9, gpu_memory_bytes=288e9, gpu_watts=1400.5, gpu_celsius=105.0,
)  # fmt: skip
DAY_SECONDS = 24 * 3600


@pytest.fixture
def attempt(volume):
    put_dataset(volume, learnable_frame(40))
    return claim(put_job(volume, small_spec()))


def test_what_is_written_is_read(attempt):
    samples = [*seconds_of(3, cpu_cores=1.5), LARGEST]
    leave_system(attempt, samples, GPU)
    found = read_system_metrics(attempt)
    assert (found.attempt, found.machine, found.samples[:3]) == (1, GPU, samples[:3])
    assert found.samples[3] == replace(LARGEST, seconds=512.12)


def test_the_file_is_not_where_a_script_may_write(attempt):
    leave_system(attempt, seconds_of(1))
    assert attempt.system_file.exists()
    assert not attempt.system_file.is_relative_to(attempt.path)


def test_a_long_job_takes_less_than_200_kb_and_its_last_minutes_are_by_the_second():
    values, samples = [getattr(LARGEST, name) for name in COLUMNS[2:]], []
    for at in range(1, DAY_SECONDS + 1):
        samples.append(Sample(at, 1, *values))
        if len(samples) > MOST_SAMPLES:
            samples = thin_out(samples)
    assert MOST_SAMPLES * max(len(sample_line(sample)) for sample in [LARGEST, *samples]) < 200_000
    assert sum(sample.seconds for sample in samples) == DAY_SECONDS
    assert len(samples) > 1000
    assert [sample.seconds for sample in samples[-250:]] == [1.0] * 250
    assert max(sample.seconds for sample in samples) < 140
    assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)


def test_a_merged_sample_has_the_mean_of_what_flows_and_the_peak_of_what_is_held():
    slow = Sample(at=3.0, seconds=3.0, cpu_cores=1.0, memory_bytes=5, gpu_watts=None)
    fast = Sample(at=4.0, seconds=1.0, cpu_cores=2.0, memory_bytes=3, gpu_watts=100.0)
    (merged,) = thin_all([slow, fast], 1)
    assert merged == Sample(at=4.0, seconds=4.0, cpu_cores=1.25, memory_bytes=5.0, gpu_watts=100.0)


def thin_all(samples, most):
    return merge_all_to([samples], most)[0]


def test_samples_of_several_attempts_are_merged_to_one_length_and_each_keeps_one():
    merged = merge_all_to([seconds_of(100), seconds_of(3), seconds_of(1)], 20)
    assert sum(map(len, merged)) <= 20
    assert {sample.seconds for sample in merged[0][:-1]} == {8.0}
    assert [len(one) for one in merge_all_to([seconds_of(1)] * 5, 3)] == [1] * 5


@pytest.mark.parametrize(
    "line",
    ["", "{}", "null", "[]", '[1,"2"]', "[1,0]", "[null,1]", "[1,-1]", "[1,true]", "[1,1e400]", "[1,", "[" * 9999],
)
def test_a_line_that_is_no_sample_is_left_out(attempt, line):
    leave_system(attempt, seconds_of(1))
    with attempt.system_file.open("a") as file:
        file.write(line + "\n" + json.dumps([2.0, 1.0, 0.5]) + "\n[3.0,1.0")
    assert [sample.at for sample in read_system_metrics(attempt).samples] == [1.0, 2.0]


def test_columns_of_a_newer_version_are_ignored_and_those_of_an_older_one_are_unknown(attempt):
    attempt.system_file.parent.mkdir()
    head = {"columns": ["at", "fans", "seconds"], "lights": 3}
    attempt.system_file.write_text(json.dumps(head) + "\n[1.0,9,1.0]\n")
    assert read_system_metrics(attempt).samples == [Sample(at=1.0, seconds=1.0)]
    assert set(COLUMNS) > {"at", "seconds"}


@pytest.mark.parametrize("content", ["x", "[]", '{"format":99}\n', '{"columns":1}\n'])
def test_a_file_that_is_none_of_ours_is_unusable_and_an_empty_one_is_none(attempt, content):
    attempt.system_file.parent.mkdir()
    attempt.system_file.touch()
    assert read_system_metrics(attempt) is None
    attempt.system_file.write_text(content)
    with pytest.raises(UnusableDocument):
        read_system_metrics(attempt)
