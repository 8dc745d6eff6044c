"""The system metrics that a worker writes for a running attempt: real processes, a real folder."""

import multiprocessing
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import shared.system_metrics
import worker.supervisor.system_sampler as module
from shared.settings import Settings
from shared.system_metrics import read_system_metrics
from tests.support.jobs import claim, learnable_frame, put_dataset, put_job, small_spec
from tests.support.nvml import Gpu, driver_of
from tests.support.system import CPU, seconds_of
from tests.support.waiting import wait_for
from worker.ipc.kept_programs import KeptPrograms
from worker.supervisor.attempt import AttemptRun
from worker.supervisor.child import Child
from worker.supervisor.system_sampler import SystemFile, SystemSampler

COMPUTES = "print(flush=True)\nwhile True: pass"


@pytest.fixture
def attempt(volume):
    put_dataset(volume, learnable_frame(40))
    return claim(put_job(volume, small_spec()))


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(module, "_PART_OF_CORE", 1.0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@contextmanager
def computing():
    with subprocess.Popen([sys.executable, "-c", COMPUTES], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def samples_of(attempt):
    found = read_system_metrics(attempt)
    return list(found.samples) if found else []


def test_processor_and_memory_are_sampled_while_the_process_lives(attempt):
    since = time.monotonic() - 100
    with computing() as process, SystemSampler(attempt, process.pid, since):
        wait_for(lambda: len(samples_of(attempt)) >= 5)
        used = max(sample.cpu_cores for sample in samples_of(attempt))
        process.kill()
        process.wait()
        count = wait_for(lambda: has_stopped(attempt))
    found = read_system_metrics(attempt)
    assert len(found.samples) == count
    assert 0 < used < 2.5
    assert all(sample.memory_bytes > 1e6 for sample in found.samples)
    assert [sample.at for sample in found.samples] == sorted(sample.at for sample in found.samples)
    assert 100 < found.samples[0].at < 1000
    assert found.machine.cores
    assert found.machine.memory_bytes
    assert found.machine.gpu is None
    assert found.samples[0].gpu_percent is None


def has_stopped(attempt):
    """Return the number of samples; None until the thread has ended."""
    return None if any(one.name.startswith("system of") for one in threading.enumerate()) else len(samples_of(attempt))


def test_a_gpus_values_are_in_each_sample(attempt):
    with driver_of(Gpu("GPU-a")) as driver:
        with computing() as process, SystemSampler(attempt, process.pid, time.monotonic()):
            wait_for(lambda: len(samples_of(attempt)) >= 2)
            driver.gpus[0].percent = 5
            wait_for(lambda: samples_of(attempt)[-1].gpu_percent == 5)
            driver.gpus[0].is_lost = True
            last = wait_for(lambda: (found := samples_of(attempt)[-1]).gpu_watts is None and found)
        found = read_system_metrics(attempt)
    assert (found.machine.gpu, found.machine.gpu_memory_bytes) == ("NVIDIA H200", 141 * 10**9)
    first = found.samples[0]
    assert (first.gpu_percent, first.gpu_memory_bytes, first.gpu_watts, first.gpu_celsius) == (83, 61e9, 612.5, 64)
    assert last.memory_bytes > 1e6
    assert driver.starts == 0


def test_a_driver_that_hangs_and_one_that_fails_in_another_way_keep_nobody(attempt, monkeypatch):
    monkeypatch.setattr(module, "_END_SECONDS", 0.1)
    hangs = threading.Event()
    with driver_of() as driver:
        driver.nvmlDeviceGetName = lambda _: hangs.wait()
        with computing() as process, SystemSampler(attempt, process.pid, time.monotonic()) as sampler:
            pass
        hangs.set()
        sampler._thread.join(60)
        driver.nvmlDeviceGetName = lambda _: 1 / 0
        with computing() as process, SystemSampler(attempt, process.pid, time.monotonic()) as sampler:
            sampler._thread.join(60)
    assert samples_of(attempt) == []


def test_a_look_that_costs_much_happens_seldom(attempt, monkeypatch):
    monkeypatch.setattr(module, "_PART_OF_CORE", 0.001)
    with computing() as process, SystemSampler(attempt, process.pid, time.monotonic()):
        wait_for(lambda: len(samples_of(attempt)) == 1)
        costs = samples_of(attempt)[0].seconds
        assert has_waited_longer(attempt, costs)


def has_waited_longer(attempt, seconds):
    """Whether the second sample came after more than 1.5 times `seconds`."""
    wait_for(lambda: len(samples_of(attempt)) == 2)
    return samples_of(attempt)[1].seconds > 1.5 * seconds


@pytest.mark.parametrize("harm", ["removed", "torn", "a folder"])
def test_a_file_that_was_harmed_is_written_again_whole(attempt, monkeypatch, harm):
    monkeypatch.setattr(module, "_SAMPLES_BEFORE_RETRY", 1)
    file = SystemFile(attempt.system_file, CPU)
    first, *others = seconds_of(4)
    file.append(first)
    if harm == "torn":
        monkeypatch.setattr(module.os, "write", lambda *_: 3)
        file.append(others[0])
        monkeypatch.undo()
    else:
        shutil.rmtree(attempt.system_file.parent)
        if harm == "a folder":
            attempt.system_file.parent.write_text("")
        file.append(others[0])
        assert samples_of_none(attempt)
        if harm == "a folder":
            attempt.system_file.parent.unlink()
    for sample in others[1:]:
        file.append(sample)
    assert samples_of(attempt) == [first, *others]


def samples_of_none(attempt):
    return not attempt.system_file.exists()


def test_of_a_job_that_was_deleted_nothing_is_left(attempt):
    file = SystemFile(attempt.system_file, CPU)
    shutil.rmtree(attempt.job.path)
    for sample in seconds_of(30):
        file.append(sample)
    assert not attempt.job.path.exists()


def test_a_file_that_is_full_keeps_its_bound_and_its_newest_samples(attempt, monkeypatch):
    monkeypatch.setattr(module, "MOST_SAMPLES", 40)
    monkeypatch.setattr(shared.system_metrics, "_NEWEST", 10)
    monkeypatch.setattr(shared.system_metrics, "_MOST_OLDER", 20)
    file = SystemFile(attempt.system_file, CPU)
    samples = seconds_of(300, cpu_cores=1.0)
    for sample in samples:
        file.append(sample)
        assert len(samples_of(attempt)) <= 40
        assert samples_of(attempt)[-10:] == samples[max(0, int(sample.at) - 10) : int(sample.at)]
    assert sum(sample.seconds for sample in samples_of(attempt)) == 300


def trains(pipe, attempt):
    """Act as a training process: report that it is ready, then work until three samples are written."""
    pipe.send(None)
    pipe.recv()
    while len(samples_of(attempt)) < 3:
        pass


def test_an_attempt_has_its_metrics_from_its_worker(volume, attempt):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=trains, args=(there, attempt))
    process.start()
    there.close()
    child = Child(process, here, KeptPrograms(Path(), None), lambda: None)
    assert child.is_ready(120)
    AttemptRun(attempt, time.monotonic(), volume, Settings(), threading.Event()).run(child)
    child.close()
    assert len(samples_of(attempt)) >= 3
    assert attempt.end() is not None
