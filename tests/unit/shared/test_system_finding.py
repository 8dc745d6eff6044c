"""What the system metrics show about a job's training: the rule, driven by samples."""

import pytest

from shared.history import JobReader
from shared.system_finding import find
from shared.system_metrics import Sample, read_system_metrics
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.system import CPU, GPU, leave_system, seconds_of, train_for


@pytest.fixture
def job(volume):
    put_dataset(volume, learnable_frame(40))
    return put_job(volume, small_spec())


def found(job, samples, machine, engine="stock", seconds=60, each=2.0):
    attempt = claim(job)
    train_for(attempt, seconds, each)
    leave_system(attempt, samples, machine)
    return find([read_system_metrics(attempt)], JobReader(job).read_on().attempts, engine)


MB = 1e6


@pytest.mark.parametrize(
    ("use", "engine", "code"),
    [
        ((96, 1.0, 0), "fused", "gpu_busy"),
        ((23, 3.9, 0), "stock", "gpu_waited_for_data"),
        ((23, 3.9, 0), None, "gpu_waited_for_data"),
        ((23, 1.0, 200 * MB), "fused", "gpu_waited_for_data"),
        ((23, 0.3, 200 * MB), "stock", "gpu_waited_for_disk"),
        ((23, 1.0, 0), "fused", "gpu_short_steps"),
        ((23, 0.1, 0), "stock", "gpu_idle"),
        ((None, 3.9, 0), "fused", "cpu_busy"),
        ((None, 0.2, 80 * MB), "fused", "cpu_waited_for_disk"),
        ((None, 1.5, 0), "fused", "cpu"),
        ((None, 1.5, None), "fused", "cpu"),
        ((None, None, None), "fused", "cpu"),
    ],
)
def test_the_medians_decide_what_kept_the_training_waiting(job, use, engine, code):
    gpu, cores, disk = use
    machine = CPU if gpu is None else GPU
    finding = found(job, seconds_of(60, gpu_percent=gpu, cpu_cores=cores, disk_read=disk), machine, engine)
    assert finding.code == code
    assert (finding.gpu_percent, finding.cpu_cores, finding.disk_read) == (gpu, cores, disk)
    assert finding.has_waited == ("wait" in code or code in {"gpu_short_steps", "gpu_idle"})


def test_the_sentence_has_the_evidence_in_numbers(job):
    samples = seconds_of(60, gpu_percent=23, cpu_cores=3.9, disk_read=200 * MB)
    assert found(job, samples, GPU).text == (
        "The GPU waited for data: prepare batches in parallel, cache them, or use larger ones. Medians over 59 s of "
        "training: GPU 23 % busy, 3.9 of 8 CPU cores used, 200.0 MB/s read from disk."
    )


def test_compiling_and_the_evaluation_are_no_training(job):
    compiling = seconds_of(30, gpu_percent=0, cpu_cores=4.0)
    training = seconds_of(40, 31, gpu_percent=95, cpu_cores=1.0)
    evaluating = seconds_of(60, 71, gpu_percent=0, cpu_cores=1.0)
    finding = found(job, [*compiling, *training, *evaluating], GPU, seconds=60, each=60.0)
    assert (finding.code, finding.seconds) == ("gpu_busy", 31.0)


def test_a_longer_sample_counts_more(job):
    busy = Sample(at=32.0, seconds=32.0, gpu_percent=99, cpu_cores=1.0)
    finding = found(job, [busy, *seconds_of(20, 33, gpu_percent=1, cpu_cores=1.0)], GPU, each=0.1)
    assert finding.seconds == 20.0
    merged = Sample(at=40.0, seconds=30.0, gpu_percent=99, cpu_cores=1.0)
    attempt = job.attempts()[0]
    attempt.system_file.unlink()
    leave_system(attempt, [merged, *seconds_of(20, 41, gpu_percent=1, cpu_cores=1.0)], GPU)
    again = find([read_system_metrics(attempt)], JobReader(job).read_on().attempts, "stock")
    assert (again.code, again.seconds, again.gpu_percent) == ("gpu_busy", 50.0, 99)


def test_too_short_a_training_says_nothing(job):
    assert found(job, seconds_of(60, cpu_cores=1.0), CPU, seconds=8, each=1.0) is None


def test_without_an_epoch_nothing_is_said(job):
    assert found(job, seconds_of(60, cpu_cores=1.0), CPU, seconds=0) is None
